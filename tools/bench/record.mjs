// What has been observed so far? Every observation of every round is kept; the table is made at the end.
import { summary } from './statistics.mjs';

/** An empty record. */
export function createRecord() {
  const observed = new Map();
  const problems = [];
  const missing = [];
  const loads = [];
  const foreignParts = [];
  return {
    /** One round's observations of one peer at one work: numbers by key; undefined ones are passed over. */
    observe({ work, peer, observations }) {
      for (const [key, value] of Object.entries(observations)) {
        if (value === undefined) continue;
        const at = JSON.stringify([work, peer, key]);
        observed.set(at, [...(observed.get(at) ?? []), value]);
      }
    },
    problem: (text) => problems.push(text),
    load: (value) => loads.push(value),
    /** The part of the measured core (0 to 1) that others had during one measurement. */
    foreign: (part) => foreignParts.push(part),
    missing: (list) => missing.push(...list.map(({ peer, why }) => ({ peer: peer.name, title: peer.title, why }))),
    /** Everything, as data. */
    result() {
      const results = [...observed].map(([at, rounds]) => {
        const [work, peer, key] = JSON.parse(at);
        return { work, peer, key, ...summary(rounds) };
      });
      const value = (work, peer, key) =>
        results.find((one) => one.work === work && one.peer === peer && one.key === key)?.median;
      return { results, value, problems, missing, loads, foreignParts };
    },
  };
}
