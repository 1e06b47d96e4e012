// How does a scenario get registries, monitors and instances around a Redis that it treats badly? Real processes, each started by
// its main.ts, on free ports; ended by pid.
import { createServer, connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { eventually, freePort, startOwned } from '@switchyard/testing';
import type { OwnedProcess } from '@switchyard/testing';
import { ask } from './api.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const READY_MS = 20_000;
/** `SWITCHYARD_<this>_PORT` */
const portNames: Readonly<Record<string, string>> = {
  registry: 'REGISTRY',
  'heartbeat-monitor': 'MONITOR',
  'demo-backend': 'DEMO',
  'replication-manager': 'REPLICATION',
  'backup-worker': 'BACKUP',
};

/** One process of the stack. */
export interface Running {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  signal(signal: NodeJS.Signals): void;
  running(): boolean;
  /** the last lines that it wrote */
  output(): string;
}

/** A way for beats that can be cut without anybody being told, as a partition cuts it. */
export interface Relay {
  readonly url: string;
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

/** What a reader has seen of a service. */
export interface Witness {
  /** event types by instance, in order, since the start */
  readonly events: readonly { readonly type: string; readonly subject: string }[];
  /** the fewest instances that one answer had */
  fewest(): number;
  stop(): Promise<void>;
}

export interface SmallStack {
  start(app: string, env: Readonly<Record<string, string>>): Promise<Running>;
  relayTo(url: string): Promise<Relay>;
  watch(registry: string, service: string): Promise<Witness>;
  stop(): Promise<void>;
}

/** `common`: where Redis is, and whatever else all processes share. Everything ends with `stop`. */
export function createSmallStack(common: Readonly<Record<string, string>>): SmallStack {
  const started: OwnedProcess[] = [];
  const endings: (() => Promise<void>)[] = [];
  return {
    async start(app, env) {
      const port = await freePort();
      const name = `${app}-${port}`;
      const portName = portNames[app] ?? 'DISPATCHER';
      const owned = await startOwned({
        command: process.execPath,
        args: [join(root, 'apps', app, 'src/main.ts')],
        env: {
          ...process.env,
          NODE_OPTIONS: '--disable-warning=ExperimentalWarning',
          SWITCHYARD_LOG_LEVEL: 'warn',
          SWITCHYARD_INSTANCE_ID: name,
          [`SWITCHYARD_${portName}_PORT`]: String(port),
          ...common,
          ...env,
        },
      });
      started.push(owned);
      const url = `http://127.0.0.1:${port}`;
      await eventually(
        async () => {
          if (!owned.running()) throw new Error(`${name} ended:\n${owned.output()}`);
          expect((await ask(`${url}/livez`)).status).toBe(200);
        },
        { timeoutMs: READY_MS, what: name },
      );
      return {
        name,
        url,
        pid: owned.pid,
        signal: (signal) => owned.signal(signal),
        running: () => owned.running(),
        output: () => owned.output(),
      };
    },
    async relayTo(url) {
      const target = new URL(url);
      const sockets = new Set<Socket>();
      let open = true;
      const server = createServer((near) => {
        const far = connect(Number(target.port), target.hostname);
        for (const [from, to] of [
          [near, far],
          [far, near],
        ] as const) {
          sockets.add(from);
          from.on('data', (data) => open && to.write(data));
          from.on('error', () => to.destroy());
          from.on('close', () => {
            sockets.delete(from);
            // what is cut off is told nothing
            if (open) to.destroy();
          });
        }
      });
      await new Promise<void>((resolve) => {
        server.listen(0, '127.0.0.1', resolve);
      });
      const close = async (): Promise<void> => {
        for (const socket of sockets) socket.destroy();
        await new Promise<void>((resolve) => {
          server.close(() => resolve());
        });
      };
      endings.push(close);
      return {
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        cut: () => (open = false),
        mend() {
          open = true;
          // what was lost on the way leaves these useless
          for (const socket of sockets) socket.destroy();
        },
        close,
      };
    },
    async watch(registry, service) {
      const events: { type: string; subject: string }[] = [];
      let fewest = Infinity;
      const ending = new AbortController();
      const over = (): boolean => ending.signal.aborted;
      const read = async (): Promise<void> => {
        let last = '';
        while (!over()) {
          try {
            const response = await fetch(`${registry}/v1/stream?topics=instance&service=${service}`, {
              headers: last === '' ? {} : { 'last-event-id': last },
              signal: ending.signal,
            });
            let rest = '';
            for await (const chunk of response.body ?? []) {
              rest += Buffer.from(chunk as Uint8Array).toString();
              const frames = rest.split('\n\n');
              rest = frames.pop() ?? '';
              for (const frame of frames) {
                last = /^id: (.*)$/m.exec(frame)?.[1] ?? last;
                const type = /^event: (instance\..*)$/m.exec(frame)?.[1];
                const data = /^data: (.*)$/m.exec(frame)?.[1];
                if (type && data) events.push({ type, subject: (JSON.parse(data) as { subject: string }).subject });
              }
            }
          } catch {
            if (!over()) await new Promise((resolve) => setTimeout(resolve, 100));
          }
        }
      };
      const count = async (): Promise<void> => {
        while (!over()) {
          try {
            const { status, body } = await ask<{ instances: { liveness: string }[] }>(
              `${registry}/v1/services/${service}/instances`,
            );
            const living = (body.instances ?? []).filter(({ liveness }) => liveness !== 'dead').length;
            if (status === 200 || status === 404) fewest = Math.min(fewest, living);
          } catch {
            // a registry that does not answer removes nobody
          }
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      };
      const loops = [read(), count()];
      const stop = async (): Promise<void> => {
        ending.abort();
        await Promise.all(loops);
      };
      endings.push(stop);
      return { events, fewest: () => fewest, stop };
    },
    async stop() {
      for (const end of endings) await end();
      for (const each of started) each.signal('SIGCONT');
      await Promise.all(started.map((each) => each.end(12_000)));
    },
  };
}
