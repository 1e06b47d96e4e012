// How does an answer to a check become a heartbeat? Whoever is registered once over HTTP and answers its check stays, without an agent.
import type { Redis } from 'ioredis';
import { keys } from '@switchyard/protocol';
import { loadScript } from './script.ts';

const script = loadScript('check-beat');
const BATCH = 200;

/** One instance that answered its check. */
export interface CheckBeat {
  /** `service/id` */
  readonly member: string;
  /** ms from now until its next answer is overdue: counts for one that does not beat by itself and has a shorter time to live */
  readonly reachMs: number;
  /** what `beatByCheck` returned for it the last time; without it, it is taken for one that does not beat by itself */
  readonly deadlineMs?: number;
}

/** Moves the deadlines of instances. Returns the new ones, ms on Redis's clock, in order; undefined for one that is unknown. */
export async function beatByCheck(redis: Redis, beats: readonly CheckBeat[]): Promise<(number | undefined)[]> {
  const deadlines: (number | undefined)[] = [];
  for (let at = 0; at < beats.length; at += BATCH) {
    const batch = beats.slice(at, at + BATCH);
    const args = batch.flatMap(({ member, reachMs, deadlineMs }) => [member, reachMs, deadlineMs ?? '']);
    const reply = (await script.run(redis, [keys.deadlines, keys.ttls], args)) as string[];
    deadlines.push(...reply.map((text) => (text === '' ? undefined : Number(text))));
  }
  return deadlines;
}
