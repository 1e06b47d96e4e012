// What is done to a system, and what does its watcher see of it? The same faults for all; each gives observations, one object a sample.
import { pause } from '../waiting.mjs';
import { isAlive, isGone, isOut, nowMs } from './sightings.mjs';

const patienceMs = 20_000;
const between = (random, least, most) => least + random() * (most - least);

/** Each: `run(stage, { seconds, samples, random })` gives a list of observations. */
export const faults = [
  { name: 'appear', title: 'An instance registers', run: appear },
  { name: 'kill', title: 'An instance is killed (kill -9)', run: kill },
  { name: 'freeze', title: 'An instance is frozen (SIGSTOP), then goes on', run: freeze },
  { name: 'wipe', title: 'Redis loses everything (FLUSHALL)', run: (stage) => lose(stage, () => stage.redis.flush()) },
  {
    name: 'restart',
    title: 'Redis is killed and comes back empty',
    run: (stage) => lose(stage, () => stage.redis.restartEmpty()),
  },
  { name: 'redis-stopped', title: 'Redis is frozen (SIGSTOP)', run: redisStopped },
  { name: 'watchers-stopped', title: 'Whoever watches is frozen (all monitors; the observer)', run: watchersStopped },
  { name: 'leader-stopped', title: 'The leading monitor is frozen for 5 s', run: leaderStopped },
  { name: 'silent', title: '60 % of the instances fall silent, but live', run: silent },
  { name: 'dead', title: '60 % of the instances are killed at once', run: dead },
];

async function appear({ fleet, sightings, appearances }, options) {
  if (appearances) return appearances(options);
  const observations = [];
  for (let sample = 0; sample < options.samples; sample += 1) {
    const { key, registeringMs } = await fleet.beginOne();
    const atMs = await sightings.became(key, isAlive, patienceMs);
    observations.push({ appearMs: Math.max(0, atMs - registeringMs) });
    await fleet.endOne(key);
  }
  return observations;
}

async function kill({ fleet, sightings, patience = patienceMs }, { samples, random }) {
  const observations = [];
  for (let sample = 0; sample < samples; sample += 1) {
    await fleet.fill();
    await pause(between(random, 200, 1_400));
    const key = one(fleet.ids(), random);
    const killedMs = nowMs();
    fleet.member(key).process.kill();
    observations.push({ killMs: (await sightings.became(key, isGone, patience)) - killedMs });
  }
  return [...observations, { killWorstMs: worst(observations, 'killMs') }];
}

async function freeze({ fleet, sightings }, { samples, random }) {
  const observations = [];
  for (let sample = 0; sample < samples; sample += 1) {
    await fleet.fill();
    await pause(between(random, 200, 1_400));
    const key = one(fleet.ids(), random);
    const { process } = fleet.member(key);
    const frozenMs = nowMs();
    process.signal('SIGSTOP');
    const outMs = (await sightings.became(key, isOut, patienceMs)) - frozenMs;
    // until it has left altogether, where that is a step of its own
    await pause(1_000);
    const goesOnMs = nowMs();
    process.signal('SIGCONT');
    const back = await sightings.became(key, isAlive, patienceMs / 2).catch(() => undefined);
    observations.push({
      outMs,
      ...(back === undefined ? { neverBack: 1 } : { neverBack: 0, backMs: back - goesOnMs }),
    });
  }
  const backs = observations.filter(({ backMs }) => backMs !== undefined);
  const backWorstMs = backs.length === 0 ? undefined : worst(backs, 'backMs');
  return [...observations, { outWorstMs: worst(observations, 'outMs'), backWorstMs }];
}

/** Counts who was missing at any time, and how long it took until all were there, looking for so long at least. */
async function lose({ fleet, sightings, settleMs }, cause) {
  await fleet.fill();
  const ids = fleet.ids();
  sightings.mark();
  await cause();
  const lostMs = nowMs();
  await pause(settleMs);
  const removed = sightings.removals(ids);
  const back = await Promise.allSettled(ids.map((id) => sightings.became(id, isAlive, patienceMs / 2)));
  const isBack = back.every(({ status }) => status === 'fulfilled');
  const lastMs = Math.max(...back.map(({ value }) => value ?? lostMs));
  return [
    {
      removed,
      backMs: isBack && removed > 0 ? Math.max(0, lastMs - lostMs) : undefined,
      lost: back.filter(({ status }) => status === 'rejected').length,
    },
  ];
}

async function redisStopped({ fleet, sightings, redis, settleMs, unanswered }, { seconds }) {
  await fleet.fill();
  const ids = fleet.ids();
  sightings.mark();
  const unansweredBefore = unanswered?.() ?? 0;
  redis.freeze();
  await pause(seconds * 1_000);
  const unansweredSeconds = unanswered && (unanswered() - unansweredBefore) / 1_000;
  redis.resume();
  await pause(settleMs);
  return [{ seconds, falseEvictions: sightings.removals(ids), unansweredSeconds }];
}

async function watchersStopped({ fleet, sightings, watchers, settleMs }, { seconds }) {
  await fleet.fill();
  const ids = fleet.ids();
  sightings.mark();
  const length = Math.min(seconds, 10);
  for (const watcher of watchers()) watcher.signal('SIGSTOP');
  await pause(length * 1_000);
  for (const watcher of watchers()) watcher.signal('SIGCONT');
  await pause(settleMs);
  return [{ seconds: length, falseEvictions: sightings.removals(ids) }];
}

/** A real death in between shows how soon another one leads. */
async function leaderStopped({ fleet, sightings, leader, settleMs }, { random }) {
  await fleet.fill();
  const key = one(fleet.ids(), random);
  const others = fleet.ids().filter((id) => id !== key);
  sightings.mark();
  const stopped = await leader();
  stopped.signal('SIGSTOP');
  const killedMs = nowMs();
  fleet.member(key).process.kill();
  try {
    const killMs = (await sightings.became(key, isGone, patienceMs)) - killedMs;
    await pause(Math.max(0, 5_000 - killMs));
    stopped.signal('SIGCONT');
    await pause(settleMs);
    return [{ killMs, falseEvictions: sightings.removals(others) }];
  } finally {
    stopped.signal('SIGCONT');
  }
}

async function silent({ fleet, sightings, settleMs }) {
  await fleet.fill();
  const ids = fleet.ids();
  sightings.mark();
  for (const id of part(ids)) fleet.member(id).process.send({ state: 'mute' });
  await pause(settleMs + 4_000);
  const falseEvictions = sightings.removals(ids);
  for (const id of part(ids)) await fleet.endOne(id);
  return [{ falseEvictions }];
}

async function dead({ fleet, sightings }) {
  await fleet.fill();
  const ids = fleet.ids();
  sightings.mark();
  const killed = part(ids);
  const killedMs = nowMs();
  for (const id of killed) fleet.member(id).process.kill();
  const times = await Promise.all(killed.map((id) => sightings.became(id, isGone, patienceMs)));
  const left = ids.filter((id) => !killed.includes(id));
  return [{ allGoneMs: Math.max(...times) - killedMs, falseEvictions: sightings.removals(left) }];
}

const part = (ids) => ids.slice(0, Math.ceil(ids.length * 0.6));
const one = (ids, random) => ids[Math.floor(random() * ids.length)];
const worst = (observations, key) => Math.max(...observations.map((observation) => observation[key]));
