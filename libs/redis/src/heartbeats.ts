// How does a heartbeat reach Redis? In batches; the answer names the instances that Redis does not know.
import type { Redis } from 'ioredis';
import { keys } from '@switchyard/protocol';
import { loadScript } from './script.ts';

const beatScript = loadScript('beat');
/** Lua's `unpack` and Redis's single thread both want small calls. */
const BATCH = 500;

/** Moves the deadlines of `members` (`service/id`) by their own time to live. Returns those that are unknown. */
export async function beat(redis: Redis, members: readonly string[]): Promise<string[]> {
  const unknown: string[] = [];
  for (let at = 0; at < members.length; at += BATCH) {
    const reply = await beatScript.run(redis, [keys.deadlines, keys.ttls], members.slice(at, at + BATCH));
    unknown.push(...(reply as string[]));
  }
  return unknown;
}
