// How do many heartbeats cost Redis few commands? Those of a few milliseconds, from all connections and requests, go in one.
import { beat } from '@switchyard/redis';
import type { Redis } from '@switchyard/redis';

/** An Error: Redis could not be asked, or too many beats wait for it; nothing is known about the instance then. */
export type BeatOutcome = 'heard' | 'unknown' | Error;

export interface HeartbeatBatch {
  /** Beats for `member`; `done` is called once, never within this call. */
  add(member: string, done: (outcome: BeatOutcome) => void): void;
  /** Beats for all of them, and resolves with those that are unknown. Rejects when Redis is away. */
  beatAll(members: readonly string[]): Promise<string[]>;
}

const COLLECT_MS = 5;
/** Where many come, they are collected for longer: a command of 200 costs Redis half of what four of 50 do. */
const COLLECT_MANY_MS = 20;
const MANY = 20;
/** What the script takes at once. */
const MOST_MEMBERS = 500;
/** Beats whose answer is owed; their owners beat again, so what is beyond is told so in place of being kept. */
const MOST_WAITING = 50_000;

/** Collects the beats of this process. */
export function createHeartbeatBatch(redis: Redis): HeartbeatBatch {
  let members: string[] = [];
  let dones: ((outcome: BeatOutcome) => void)[] = [];
  let waiting = 0;
  let timer: NodeJS.Timeout | undefined;
  let latest = 0;

  const send = async (sent: readonly string[], answers: readonly ((outcome: BeatOutcome) => void)[]): Promise<void> => {
    let unknown: ReadonlySet<string> | undefined;
    let fault: Error | undefined;
    try {
      const told = await beat(redis, sent);
      unknown = told.length === 0 ? undefined : new Set(told);
    } catch (error) {
      fault = error instanceof Error ? error : new Error(String(error));
    }
    waiting -= sent.length;
    for (let i = 0; i < answers.length; i += 1) {
      answers[i]?.(fault ?? (unknown?.has(sent[i] ?? '') === true ? 'unknown' : 'heard'));
    }
  };
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    latest = members.length;
    const [sent, answers] = [members, dones];
    members = [];
    dones = [];
    void send(sent, answers);
  };

  const add: HeartbeatBatch['add'] = (member, done) => {
    if (waiting >= MOST_WAITING) {
      setImmediate(done, new Error(`${MOST_WAITING} heartbeats wait for Redis already`));
      return;
    }
    waiting += 1;
    members.push(member);
    dones.push(done);
    if (members.length >= MOST_MEMBERS) flush();
    else timer ??= setTimeout(flush, latest >= MANY ? COLLECT_MANY_MS : COLLECT_MS);
  };
  return {
    add,
    beatAll: (all) =>
      new Promise((resolve, reject) => {
        const unknown: string[] = [];
        let open = all.length;
        if (open === 0) resolve(unknown);
        for (const member of all) {
          add(member, (outcome) => {
            if (outcome instanceof Error) reject(outcome);
            else if (outcome === 'unknown') unknown.push(member);
            if (--open === 0) resolve(unknown);
          });
        }
      }),
  };
}
