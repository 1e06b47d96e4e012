// What is counted when a Redis group fails over, and which of these numbers are to be reached? H1 to H24 as the issue names them.

export const failoverColumns = [
  { key: 'firstAckMs', title: 'first acknowledged write after', unit: 'ms', digits: 0 },
  { key: 'gapMs', title: 'longest silence', unit: 'ms', digits: 0 },
  { key: 'staleMs', title: 'old primary took writes for', unit: 'ms', digits: 0 },
  { key: 'staleWrites', title: 'writes that it took', unit: '', digits: 0 },
  { key: 'staleLost', title: 'of these lost', unit: '', digits: 0 },
  { key: 'acked', title: 'acknowledged', unit: '', digits: 0 },
  { key: 'lost', title: 'acknowledged and lost', unit: '', digits: 0 },
  { key: 'lostForMs', title: 'from the first lost to the last', unit: 'ms', digits: 0 },
  { key: 'fullSyncs', title: 'full resynchronisations', unit: '', digits: 0 },
  { key: 'perSecond', title: 'writes', unit: '/s', digits: 0 },
  { key: 'p50Ms', title: 'p50', unit: 'ms', digits: 1 },
  { key: 'p99Ms', title: 'p99', unit: 'ms', digits: 1 },
  { key: 'failed', title: 'refused', unit: '', digits: 0 },
  { key: 'stallMs', title: 'longest time without a finished job', unit: 'ms', digits: 0 },
  { key: 'jobsAdded', title: 'jobs accepted', unit: '', digits: 0 },
  { key: 'missing', title: 'accepted and never done', unit: '', digits: 0 },
  { key: 'duplicates', title: 'done twice', unit: '', digits: 0 },
  { key: 'checkSeconds', title: 'took', unit: 's', digits: 2 },
  { key: 'found', title: 'changed key found (1: yes)', unit: '', digits: 0 },
  { key: 'quietP99Ms', title: 'GET p99 before', unit: 'ms', digits: 2 },
  { key: 'addedP99Ms', title: 'added to it meanwhile', unit: 'ms', digits: 2 },
  { key: 'worstMs', title: 'slowest GET meanwhile', unit: 'ms', digits: 1 },
  { key: 'failovers', title: 'failed over because of it (1: yes)', unit: '', digits: 0 },
];

/** `part` of the trials (0 to 1) have to be within `most` (or `least`). */
const goal = (id, text, [work, key, part], limit) => ({
  id,
  text,
  ...limit,
  got: (at) => at(work, 'ours', key, part),
});
const middle = 0.5;
const all = 1;

export const failoverGoals = [
  goal('H1', 'crash, down-after 1000: first write, p50, ms', ['crash-1000', 'firstAckMs', middle], { most: 1_700 }),
  goal('H1', 'crash, down-after 1000: first write, p95, ms', ['crash-1000', 'firstAckMs', 0.95], { most: 2_200 }),
  goal('H2', 'crash, down-after 500: first write, p50, ms', ['crash-500', 'firstAckMs', middle], { most: 1_200 }),
  goal('H3', 'planned: lost, all trials', ['planned', 'lost', all], { most: 0 }),
  goal('H4', 'planned: longest silence, p95, ms', ['planned', 'gapMs', 0.95], { most: 400 }),
  goal('H5', 'planned: full resynchronisations', ['planned', 'fullSyncs', all], { most: 0 }),
  goal('H6', 'woken primary takes writes for, p95, ms', ['stale', 'staleMs', 0.95], { most: 150 }),
  goal('H7', 'writes lost by that, all trials', ['stale', 'staleLost', all], { most: 30 }),
  ...[5, 25].map((ms) =>
    goal('H13', `level replicated, link ${ms} ms: lost, all trials`, [`link-${ms}-replicated`, 'lost', all], {
      most: 0,
    }),
  ),
  goal('H14', 'level replicated, link 2 ms: writes a second', ['throughput', 'perSecond', middle], { least: 25_000 }),
  goal('H22', 'check of all keys, s', ['check', 'checkSeconds', middle], { most: 20 }),
  goal('H22', 'check: added to p99, ms', ['check', 'addedP99Ms', middle], { most: 5 }),
  goal('H22', 'check: changed key found, all trials', ['check', 'found', 0], { least: 1 }),
  ...[
    ['kill', 3_000],
    ['freeze', 6_000],
    ['blackout', 2_000],
  ].flatMap(([trouble, most]) => [
    goal('H24', `jobs, ${trouble}: stall, p50, ms`, [`jobs-${trouble}`, 'stallMs', middle], { most }),
    goal('H24', `jobs, ${trouble}: missing, all trials`, [`jobs-${trouble}`, 'missing', all], { most: 0 }),
  ]),
];

/** Goals of which this bench has no number: tests hold them. */
export const goalsOfTests =
  'H8 to H12, H15 to H21, H23, H25 to H27 are held by tests, not by numbers: [what was tried](../redis.md#what-was-tried).';
