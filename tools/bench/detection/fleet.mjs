// Some instances that are processes: filled up to a number, killed, frozen, muted, and all of them seen before anything is measured.
import { Problem } from '../../dev/problem.mjs';
import { isAlive } from './sightings.mjs';

const appearsWithinMs = 20_000;

/** `start(id)` gives `{ process, key }`, where `key` is the id under which watchers see it. */
export function createFleet({ start, sightings, size }) {
  const members = new Map();
  let started = 0;
  const beginOne = async () => {
    started += 1;
    const member = await start(`n${started}`);
    members.set(member.key, member);
    return member;
  };
  const endOne = async (key) => {
    const member = members.get(key);
    members.delete(key);
    member?.process.kill();
    await member?.process.ended;
  };
  return {
    ids: () => [...members.keys()],
    member: (key) => members.get(key),
    beginOne,
    endOne,
    /** As many as wanted, all of them seen; who is not seen for a while is replaced. */
    async fill() {
      for (let turn = 0; turn < 3; turn += 1) {
        for (const [key, { process }] of members) if (!process.isRunning()) members.delete(key);
        while (members.size < size) await beginOne();
        const ms = turn === 0 ? appearsWithinMs / 4 : appearsWithinMs;
        const waited = await Promise.allSettled([...members.keys()].map((key) => sightings.became(key, isAlive, ms)));
        if (waited.every(({ status }) => status === 'fulfilled')) return;
        for (const key of members.keys()) if (!isAlive(sightings.how(key))) await endOne(key);
      }
      throw new Problem('the instances were never all seen');
    },
    async endAll() {
      await Promise.all([...members.keys()].map(endOne));
    },
  };
}
