// What do containers say? The log API of the Docker engine over its unix socket, if that is mounted: nothing but two GETs.
// https://docs.docker.com/reference/api/engine/version/v1.43/#tag/Container/operation/ContainerLogs
import { request } from 'node:http';
import type { Address } from '@switchyard/replication';
import { z } from 'zod';

/** A container that runs a node or a Sentinel. */
export interface LogContainer {
  readonly id: string;
  readonly name: string;
}

/** The engine behind a socket. */
export interface DockerLogs {
  /** The container with this address, or else of this name; undefined when there is none. Rejects when the engine does not answer. */
  find(node: Address & { readonly name: string }): Promise<LogContainer | undefined>;
  /** What it wrote from one moment to another, at most `mostBytes` of it. */
  read(container: LogContainer, window: { readonly fromMs: number; readonly toMs: number }): Promise<string>;
}

/** Stopped ones, too: whoever was primary has often just died. They have no address any more, but a name. */
const listPath = '/containers/json?all=1';
const deadlineMs = 3_000;
const mostLines = 2_000;
const mostBytes = 1_048_576;

const containersSchema = z.array(
  z.object({
    Id: z.string(),
    Names: z.array(z.string()).default([]),
    Labels: z.record(z.string(), z.string()).nullish(),
    NetworkSettings: z
      .object({ Networks: z.record(z.string(), z.object({ IPAddress: z.string().optional() })).nullish() })
      .nullish(),
  }),
);

/** Talks to the engine at `socketPath`; nothing is asked before a method is called. */
export const createDockerLogs = (socketPath: string): DockerLogs => ({
  async find({ name, host }) {
    const containers = containersSchema.parse(JSON.parse((await get(socketPath, listPath)).toString('utf8')));
    const byAddress = containers.find(({ NetworkSettings }) =>
      Object.values(NetworkSettings?.Networks ?? {}).some(({ IPAddress }) => IPAddress === host),
    );
    const isNamed = ({ Names, Labels }: (typeof containers)[number]): boolean =>
      Labels?.['com.docker.compose.service'] === name || Names.some((one) => [`/${name}`, `/${host}`].includes(one));
    const found = byAddress ?? containers.find(isNamed);
    return found === undefined ? undefined : { id: found.Id, name: (found.Names[0] ?? found.Id).replace(/^\//, '') };
  },
  async read({ id }, { fromMs, toMs }) {
    const query = new URLSearchParams({
      stdout: '1',
      stderr: '1',
      since: String(Math.floor(fromMs / 1_000)),
      until: String(Math.ceil(toMs / 1_000)),
      tail: String(mostLines),
    });
    return unframed(await get(socketPath, `/containers/${encodeURIComponent(id)}/logs?${query.toString()}`));
  },
});

const get = (socketPath: string, path: string): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, headers: { host: 'docker' }, signal: AbortSignal.timeout(deadlineMs) });
    asked.on('error', reject);
    asked.on('response', (answer) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      const end = (): void => {
        if (answer.statusCode === 200) resolve(Buffer.concat(chunks));
        else reject(new Error(`the engine answers ${String(answer.statusCode)} to ${path.slice(0, 100)}`));
      };
      answer.on('data', (chunk: Buffer) => {
        if (bytes < mostBytes) chunks.push(chunk);
        bytes += chunk.length;
        // What is cut off at the end is one line.
        if (bytes < mostBytes) return;
        end();
        answer.destroy();
      });
      answer.on('end', end);
      answer.on('error', reject);
    });
    asked.end();
  });

const frameHead = 8;

/** Without a terminal each piece has a head: stream (0, 1, 2), three zeros, length. With one it is plain text. */
const unframed = (bytes: Buffer): string => {
  const parts: Buffer[] = [];
  let at = 0;
  while (at + frameHead <= bytes.length) {
    if ((bytes[at] ?? 9) > 2 || bytes.readUIntBE(at + 1, 3) !== 0) return bytes.toString('utf8');
    const length = bytes.readUInt32BE(at + 4);
    parts.push(bytes.subarray(at + frameHead, at + frameHead + length));
    at += frameHead + length;
  }
  return Buffer.concat(parts).toString('utf8');
};
