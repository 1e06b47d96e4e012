// Who is there, as one watcher sees it, and since when? Changes come with the time of their arrival; nothing is measured by asking.
import { Problem } from '../../dev/problem.mjs';
import { pause } from '../waiting.mjs';

/** Ms on one clock for all processes of this machine. */
export const nowMs = () => performance.timeOrigin + performance.now();

/** What one watcher has seen. `how` is `alive`, `suspect` or `gone`. */
export function createSightings() {
  const seen = new Map();
  let removed = new Set();
  const how = (id) => seen.get(id)?.how ?? 'gone';
  const set = (id, next, atMs = nowMs()) => {
    if (how(id) === next) return;
    seen.set(id, { how: next, atMs });
    if (next === 'gone') removed.add(id);
  };
  const setGoneBut = (ids, atMs) => {
    for (const id of seen.keys()) if (!ids.includes(id)) set(id, 'gone', atMs);
  };
  return {
    set,
    how,
    /** The whole list at once. */
    setAll(ids, atMs) {
      for (const id of ids) set(id, 'alive', atMs);
      setGoneBut(ids, atMs);
    },
    /** Nobody else is there any more. */
    setGoneBut,
    /** Begins to count removals. */
    mark() {
      removed = new Set();
    },
    /** Of these ids, how many were removed since the mark, also those that are back. */
    removals: (ids) => ids.filter((id) => removed.has(id)).length,
    /** Ms at which it became what `wanted` accepts; a Problem after `ms`. */
    async became(id, wanted, ms) {
      const deadlineMs = nowMs() + ms;
      while (!wanted(how(id))) {
        if (nowMs() > deadlineMs) throw new Problem(`${id} is still ${how(id)} after ${ms} ms`);
        await pause(1);
      }
      return seen.get(id)?.atMs ?? nowMs();
    },
  };
}

export const isGone = (how) => how === 'gone';
export const isAlive = (how) => how === 'alive';
export const isOut = (how) => how !== 'alive';
