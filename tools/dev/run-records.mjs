// Who runs in this home? One file for the yard (the lock) and one for each process that it started, each with pid and
// start time, so that the next start can end what a killed yard left behind and touches nothing else.
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endRecorded, isStill, startTimeOf } from './process-identity.mjs';

// In this order a yard is taken down: who writes goes before who stores, Sentinels before they could fail over.
const stopOrder = ['demo', 'service', 'sentinel', 'redis'];

/**
 * Takes the home for this process; a lock whose process is gone is taken over.
 * @returns {{ ok: true } | { ok: false, holder: { pid: number, url?: string } }}
 */
export function takeLock(home) {
  const directory = join(home, 'run');
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'yard.json');
  const mine = { pid: process.pid, startTime: startTimeOf(process.pid) };
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      writeFileSync(file, JSON.stringify(mine), { flag: 'wx' });
      return { ok: true };
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const holder = readJson(file);
    if (holder && isStill(holder)) return { ok: false, holder };
    // Renamed, not removed: of two that find the same stale lock only one rename succeeds.
    try {
      renameSync(file, `${file}.stale`);
      rmSync(`${file}.stale`, { force: true });
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
  }
  return { ok: false, holder: readJson(file) ?? { pid: 0 } };
}

/** Adds facts (URLs, ports) to the lock, for tools that want to find the running yard. */
export function describeYard(home, facts) {
  const record = { pid: process.pid, startTime: startTimeOf(process.pid), ...facts };
  writeFileSync(join(home, 'run', 'yard.json'), JSON.stringify(record, undefined, 2));
}

/** Removes the lock and all records. */
export function removeRecords(home) {
  rmSync(join(home, 'run'), { recursive: true, force: true });
}

/** Notes a started process: `{ name, role, pid, ...facts }`. */
export function recordProcess(home, record) {
  const complete = { ...record, startTime: startTimeOf(record.pid) };
  writeFileSync(join(home, 'run', `${record.name}.json`), JSON.stringify(complete));
}

/** Forgets a process that has ended. */
export function forgetProcess(home, name) {
  rmSync(join(home, 'run', `${name}.json`), { force: true });
}

/** Ends what an earlier yard left running in this home, in the order of an orderly stop; gives the names. */
export async function endLeftovers(home) {
  const directory = join(home, 'run');
  if (!existsSync(directory)) return [];
  const records = readdirSync(directory)
    .filter((file) => file.endsWith('.json') && file !== 'yard.json')
    .map((file) => readJson(join(directory, file)))
    .filter((record) => Number.isInteger(record?.pid));
  const ended = [];
  for (const role of stopOrder) {
    const same = records.filter((record) => record.role === role);
    ended.push(...(await endRecorded(same, role === 'redis' ? 10_000 : 3_000)));
  }
  for (const { name } of records) forgetProcess(home, name);
  return ended;
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
