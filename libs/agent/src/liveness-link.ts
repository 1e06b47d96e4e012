// How does a registry learn within milliseconds that this process has died? By the end of a connection that the agent holds to it.
//
//   apart --upgrade--> open --ended, reset, no answer--> apart (next registry, after a short wait at random)
//     \--404, 426, 501: not spoken there--> not asked again for a minute; beats go by POST meanwhile, as they do whenever it is apart
import { request as overHttp } from 'node:http';
import { request as overHttps } from 'node:https';
import type { Duplex } from 'node:stream';
import {
  createLineReader,
  decodeJson,
  livenessPath,
  livenessProtocol,
  livenessReplySchema,
  longestLivenessLine,
} from '@switchyard/protocol';
import type { LivenessReply, LivenessRequest, LoadReport, Role } from '@switchyard/protocol';
import { backoff } from '@switchyard/runtime';
import type { Clock, Logger } from '@switchyard/runtime';

/** What the instance is in an active/standby service; the token fences what it does as the active one. */
export interface HeldRole {
  readonly role: Role;
  readonly fencingToken?: number;
}

/** What comes over the connection without being asked for. */
export interface LivenessNews {
  /** Beat at once: the instance is suspected, or the connection is new. */
  readonly beatNow: (reason: string) => void;
  /** The catalog does not have the instance. */
  readonly unknown: () => void;
  readonly role: (held: HeldRole) => void;
}

export interface LivenessLink {
  /** Holds a connection from now on. The same again changes nothing. */
  start(news: LivenessNews): void;
  open(): boolean;
  /** A beat over it. Rejects when there is none, when it breaks, or when no answer comes: beat in another way then. */
  beat(load?: LoadReport): Promise<'known' | 'unknown'>;
  /** Breaks it off, as the end of the process would: whoever doubts asks the instance. */
  drop(): void;
  /** Says goodbye, so that its end raises no doubt. Never rejects. */
  leave(): Promise<void>;
  /** Ends it without a word. */
  stop(): Promise<void>;
}

export interface LivenessLinkOptions {
  /** As those of the registrar. A dispatcher's control listener will do too. */
  readonly registryUrls: readonly string[];
  readonly service: string;
  readonly id: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
  /** Ms until a beat without an answer ends the connection; 1000. */
  readonly answerMs?: number;
  /** True: open no connection now. */
  readonly quiet?: () => boolean;
}

const connectMs = 2_000;
const refusedForMs = 60_000;
const goodbyeMs = 250;
const quietMs = 100;
const keepAliveMs = 1_000;
/** Statuses by which an older registry, or a proxy that lets no upgrade through, says so. */
const refusals: ReadonlySet<number> = new Set([400, 404, 405, 426, 501]);

class NotSpokenError extends Error {
  override readonly name = 'NotSpokenError';
}

interface Waiting {
  readonly resolve: (outcome: 'known' | 'unknown') => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** A link; it connects when it is started. Throws when `registryUrls` is empty. */
export const createLivenessLink = (options: LivenessLinkOptions): LivenessLink => {
  const { registryUrls, service, id, clock, logger, random = Math.random, answerMs = 1_000 } = options;
  if (registryUrls.length === 0) throw new Error('createLivenessLink needs at least one registry URL');
  const target = `${service}/${id}`;
  const retry = backoff({ baseMs: 200, maxMs: 5_000, random });
  const stopped = new AbortController();
  const refusedUntilMs = new Map<string, number>();
  let turn = Math.floor(random() * registryUrls.length);
  let socket: Duplex | undefined;
  let loop: Promise<void> | undefined;
  /** In the order of the beats; the agent has one under way at a time. */
  const waiting: Waiting[] = [];
  let told = '';

  const tell = (event: 'agent.live' | 'agent.not_live', facts: object): void => {
    // one line when it changes, not one for each attempt
    if (told === event) return;
    told = event;
    logger.info({ target, ...facts }, event);
  };
  const say = (line: LivenessRequest): void => void socket?.write(`${JSON.stringify(line)}\n`);
  const answer = (settle: (one: Waiting) => void): boolean => {
    const one = waiting.shift();
    if (!one) return false;
    clearTimeout(one.timer);
    settle(one);
    return true;
  };
  const take = (reply: LivenessReply, news: LivenessNews): void => {
    if (reply.type === 'heard') answer(({ resolve }) => resolve('known'));
    else if (reply.type === 'failed') answer(({ reject }) => reject(new Error(`the registry says: ${reply.detail}`)));
    else if (reply.type === 'suspected') news.beatNow(`suspected: ${reply.reason}`);
    else if (reply.type === 'role') {
      news.role({
        role: reply.role,
        ...(reply.fencingToken === undefined ? {} : { fencingToken: reply.fencingToken }),
      });
    } else if (!answer(({ resolve }) => resolve('unknown'))) news.unknown();
  };

  /** Resolves when the connection is over. */
  const hold = (opened: Duplex, early: Buffer, news: LivenessNews): Promise<void> =>
    new Promise((resolve) => {
      const read = createLineReader(longestLivenessLine);
      const onData = (chunk: Buffer | string): void => {
        const lines = read(chunk.toString());
        if (!lines) opened.destroy();
        for (const line of lines ?? []) {
          const reply = decodeJson(livenessReplySchema, line, 'the reply');
          // a later registry may say more than this agent knows
          if (reply.ok) take(reply.value, news);
        }
      };
      const over = (): void => {
        socket = undefined;
        while (answer(({ reject }) => reject(new Error('the liveness connection ended'))));
        resolve();
      };
      socket = opened;
      opened.on('data', onData);
      opened.on('end', () => opened.destroy());
      opened.on('error', () => opened.destroy());
      opened.once('close', over);
      if (opened.destroyed) over();
      say({ type: 'hello', service, id });
      if (early.length > 0) onData(early);
      news.beatNow('connected');
    });

  const pause = async (ms: number): Promise<void> => {
    await clock.sleep(ms, stopped.signal).catch(() => undefined);
  };
  const run = async (news: LivenessNews): Promise<void> => {
    while (!stopped.signal.aborted) {
      if (options.quiet?.() === true) {
        await pause(quietMs);
        continue;
      }
      const nowMs = clock.monotonicMs();
      const url = registryUrls
        .map((_, i) => registryUrls[(turn + i) % registryUrls.length] ?? '')
        .find((one) => (refusedUntilMs.get(one) ?? 0) <= nowMs);
      if (url === undefined) {
        await pause(Math.max(100, Math.min(...refusedUntilMs.values()) - nowMs));
        continue;
      }
      turn = registryUrls.indexOf(url);
      try {
        const { opened, early } = await upgrade(url, stopped.signal);
        tell('agent.live', { registry: url });
        const sinceMs = clock.monotonicMs();
        await hold(opened, early, news);
        if (clock.monotonicMs() - sinceMs > 1_000) retry.reset();
      } catch (error) {
        if (stopped.signal.aborted) return;
        const fault = error instanceof Error ? error.message : String(error);
        tell('agent.not_live', { registry: url, fault });
        if (error instanceof NotSpokenError) refusedUntilMs.set(url, clock.monotonicMs() + refusedForMs);
      }
      turn = (turn + 1) % registryUrls.length;
      await pause(retry.next());
    }
  };

  const end = async (): Promise<void> => {
    stopped.abort(new Error('the agent stops'));
    socket?.destroy();
    await loop;
  };
  return {
    start: (news) => {
      if (!stopped.signal.aborted) loop ??= run(news);
    },
    open: () => socket !== undefined,
    beat: (load) =>
      new Promise((resolve, reject) => {
        const over = socket;
        if (!over) {
          reject(new Error('no liveness connection is open'));
          return;
        }
        // a registry that is frozen keeps its connections: the next one gets the beats
        const timer = setTimeout(() => over.destroy(), answerMs);
        waiting.push({ resolve, reject, timer });
        say({ type: 'beat', ...(load && { load }) });
      }),
    drop: () => void socket?.destroy(),
    leave: async () => {
      const leaving = socket;
      stopped.abort(new Error('the agent leaves'));
      if (leaving) {
        say({ type: 'bye' });
        // the registry ends it when it has heard; what it does not hear in time is not worth waiting for
        const closed = new Promise<void>((resolve) => leaving.once('close', () => resolve()));
        await Promise.race([closed, clock.sleep(goodbyeMs)]);
      }
      await end();
    },
    stop: end,
  };
};

const upgrade = (url: string, signal: AbortSignal): Promise<{ readonly opened: Duplex; readonly early: Buffer }> =>
  new Promise((resolve, reject) => {
    const to = new URL(livenessPath, url);
    const request = to.protocol === 'https:' ? overHttps : overHttp;
    const asking = request(to, { agent: false, headers: { connection: 'Upgrade', upgrade: livenessProtocol } });
    const giveUp = (): void => void asking.destroy(new Error(`${to.origin} did not answer in time`));
    const timer = setTimeout(giveUp, connectMs);
    signal.addEventListener('abort', giveUp, { once: true });
    const settled = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
    };
    asking.on('error', (error) => {
      settled();
      reject(error);
    });
    asking.on('response', (response) => {
      settled();
      const status = response.statusCode ?? 0;
      const fault = `${to.origin} answered ${status} in place of the upgrade`;
      reject(refusals.has(status) || status < 300 ? new NotSpokenError(fault) : new Error(fault));
      asking.destroy();
    });
    asking.on('upgrade', (_response, opened, early) => {
      settled();
      opened.setTimeout(0);
      opened.setNoDelay(true);
      opened.setKeepAlive(true, keepAliveMs);
      resolve({ opened, early });
    });
    asking.end();
  });
