// Who is the primary at this moment? Asked of the running Sentinels; a node that starts again has to obey the answer.
import { pause } from './process-identity.mjs';
import { ask } from './resp.mjs';

/**
 * The port that most of the given answers name; an answer is a port or undefined.
 * A majority of all Sentinels is needed, not of those that answered.
 */
export function majority(answers) {
  const votes = new Map();
  for (const answer of answers) if (answer !== undefined) votes.set(answer, (votes.get(answer) ?? 0) + 1);
  return [...votes].find(([, count]) => count * 2 > answers.length)?.[0];
}

/**
 * The port of the primary by majority of the running Sentinels; undefined when they do not answer or disagree.
 * While a failover is going on, the old address would be a wrong answer: waits for its end, at most `patienceMs`.
 */
export async function livePrimary({ sentinelPorts, group, patienceMs = 0 }) {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const views = await Promise.all(sentinelPorts.map((port) => sentinelView(port, group)));
    const busy = views.some((view) => view?.failingOver);
    if (!busy || performance.now() >= deadlineMs) return majority(views.map((view) => view?.port));
    await pause(250);
  }
}

async function sentinelView(port, group) {
  try {
    const facts = await ask(port, ['SENTINEL', 'MASTER', group]);
    const fact = (name) => facts[facts.indexOf(name) + 1];
    return { port: Number(fact('port')), failingOver: fact('flags').includes('failover_in_progress') };
  } catch {
    return undefined;
  }
}

/** 'master' or 'slave' as the node itself says, undefined when it does not answer. */
export async function roleOf(port) {
  try {
    return (await ask(port, ['ROLE'], 500))[0];
  } catch {
    return undefined;
  }
}

/** Resolves when something listens on the port, or after `timeoutMs`. */
export async function listening(port, timeoutMs) {
  const deadlineMs = performance.now() + timeoutMs;
  while (performance.now() < deadlineMs) {
    try {
      await ask(port, ['PING'], 200);
      return;
    } catch (error) {
      // An error reply (-LOADING) is an answer too.
      if (!error.code && !error.message.startsWith('no answer')) return;
    }
    await pause(20);
  }
}
