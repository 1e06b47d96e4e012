// What is counted of backups and restores, and which of these numbers are to be reached? B1 to B18 as the issue names them.
import { sizes } from './backup/sizes.mjs';

export const backupColumns = [
  { key: 'backupSeconds', title: 'took', unit: 's', digits: 2 },
  { key: 'storedMegabytes', title: 'stored', unit: 'MB', digits: 1 },
  { key: 'quietP99Ms', title: 'write p99 on the primary before', unit: 'ms', digits: 2 },
  { key: 'addedP99Ms', title: 'added to it meanwhile', unit: 'ms', digits: 2 },
  { key: 'worstMs', title: 'slowest write meanwhile', unit: 'ms', digits: 1 },
  { key: 'ghosts', title: 'replicas that Sentinel invented', unit: '', digits: 0 },
  { key: 'backSeconds', title: 'from the order to the old data', unit: 's', digits: 2 },
  { key: 'wholeSeconds', title: 'until all replicas have it', unit: 's', digits: 2 },
  { key: 'noWritesMs', title: 'longest time without a write', unit: 'ms', digits: 0 },
  { key: 'noReadsMs', title: 'longest time without a read', unit: 'ms', digits: 0 },
  { key: 'missingKeys', title: 'keys missing afterwards', unit: '', digits: 0 },
  { key: 'lostWrites', title: 'acknowledged and lost', unit: '', digits: 0 },
  { key: 'lostForMs', title: 'age of the newest that is back', unit: 'ms', digits: 0 },
  { key: 'rpoP99Ms', title: 'RPO as the worker tells it, p99', unit: 'ms', digits: 0 },
  { key: 'addedCpuPercent', title: 'added CPU of the source', unit: '%', digits: 1 },
  { key: 'workerMegabytes', title: 'most memory of the worker', unit: 'MB', digits: 0 },
];

const all = 1;
const goal = (id, text, [work, key, part], limit) => ({
  id,
  text,
  ...limit,
  got: (at) => at(work, 'ours', key, part),
});
const [tenth] = sizes;

export const backupGoals = [
  ...sizes.map(({ name }) => goal('B1', `${name}: ghosts, all trials`, [`backup-${name}`, 'ghosts', all], { most: 0 })),
  goal('B5', 'lost with all nodes, age, p99, ms', ['loss', 'lostForMs', 0.99], { most: 2_000 }),
  goal('B5', 'live RPO p99, ms', ['loss', 'rpoP99Ms', 0.5], { most: 1_000 }),
  goal('B5', 'added CPU of the source, %', ['loss', 'addedCpuPercent', 0.5], { most: 10 }),
  goal('B7', `${tenth.name}: without writes, p50, ms`, [`restore-${tenth.name}`, 'noWritesMs', 0.5], { most: 1_500 }),
  goal('B7', `${tenth.name}: without reads, p50, ms`, [`restore-${tenth.name}`, 'noReadsMs', 0.5], { most: 500 }),
  goal('B7', `${tenth.name}: FLUSHALL undone, s`, [`restore-${tenth.name}`, 'backSeconds', 0.5], { most: 3 }),
  ...sizes.flatMap(({ name }) => [
    goal('B4', `${name}: lost before the FLUSHALL`, [`restore-${name}`, 'lostWrites', all], { most: 0 }),
    goal('B4', `${name}: keys missing`, [`restore-${name}`, 'missingKeys', all], { most: 0 }),
    goal('', `${name}: memory of the worker, MB`, [`restore-${name}`, 'workerMegabytes', all], { most: 150 }),
  ]),
];
