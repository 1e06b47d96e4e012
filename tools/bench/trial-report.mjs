// How is a bench of trials told? Least, middle, 95 % and most of all trials: what breaks has no typical length, its tail is what hurts.
import { table } from './report.mjs';
import { median, quantile } from './statistics.mjs';

/** `{ markdown, json, plots }`, as reportOf of report.mjs; `plots` are files that belong to the document: `{ file, title, text }`. */
export function trialReport({ bench, machine, settings, outcome, places = [] }) {
  const { record, works, peers, trials } = outcome;
  const { results, problems, missing, loads } = record.result();
  const find = (work, peer, key) => results.find((one) => one.work === work && one.peer === peer && one.key === key);
  const at = (work, peer, key, part) => {
    const rounds = find(work, peer, key)?.rounds;
    return rounds === undefined ? undefined : partOf(rounds, part);
  };
  const goals = bench.goals.map(({ got: read, ...goal }) => {
    const got = read(at);
    const reached = got === undefined ? undefined : goal.most === undefined ? got >= goal.least : got <= goal.most;
    return { ...goal, got, reached };
  });
  const known = goals.filter(({ got }) => got !== undefined);
  const failed = trials.filter((trial) => trial.failed !== undefined);
  const plots = bench.plots?.({ works, peers, at }) ?? [];
  const versions = peers.map(({ peer, prepared }) => ({
    peer: peer.name,
    title: peer.title,
    version: prepared.version,
  }));
  const { date, cores, processor, memoryGiB, platform, node } = machine;
  const spread = loads.length === 0 ? 'unknown' : `${Math.min(...loads)} to ${Math.max(...loads)}`;
  const markdown = [
    `# Bench: ${bench.name}`,
    `Made by \`npm run bench -- ${bench.name}\`; what is done and counted is in [benchmarks](../benchmarks.md#${bench.name}). ` +
      `${date.slice(0, 16).replace('T', ' ')} UTC, ${cores} cores (${processor}), ${memoryGiB} GiB, ${platform}, Node ${node}. ` +
      `${settings.rounds} trials of each, a fresh group for every trial, in turns; load average ${spread}.`,
    versions.map(({ title, version }) => `- ${title} ${version}`).join('\n'),
    ...plots.map(({ file, title }) => `![${title}](${file})`),
    ...works.map((work) => section({ work, bench, peers, find, trials })),
    ...(known.length === 0
      ? []
      : ['## Goals', goalTable(known), ...(bench.goalsNote === undefined ? [] : [bench.goalsNote])]),
    ...(missing.length === 0
      ? []
      : ['## Missing', missing.map(({ title, why }) => `- ${title}: ${flat(why)}`).join('\n')]),
    ...(failed.length === 0 ? [] : ['## Trials that failed', failed.map(failure).join('\n')]),
  ].join('\n\n');
  const json = {
    bench: bench.name,
    machine,
    settings,
    loadAverages: loads,
    versions,
    results,
    goals,
    trials,
    missing,
    problems,
  };
  const hidden = (text) => places.reduce((left, place) => left.replaceAll(place, '...'), text);
  return { markdown: hidden(`${markdown}\n`), json: hidden(`${JSON.stringify(json, null, 2)}\n`), plots };
}

function section({ work, bench, peers, find, trials }) {
  const rows = bench.columns.flatMap((column) =>
    peers.flatMap(({ peer }) => {
      const found = find(work.name, peer.name, column.key);
      return found === undefined ? [] : [row({ column, peer, rounds: found.rounds, text: text(column) })];
    }),
  );
  const loads = trials.filter((trial) => trial.work === work.name).map(({ load }) => load);
  const parts = [`## ${work.title}`];
  if (rows.length === 0) return [...parts, 'Nothing was measured.'].join('\n\n');
  parts.push(table(['', 'least', 'median', 'p95', 'most', 'trials'], rows));
  parts.push(`Load average before the trials: median ${median(loads)}, at most ${Math.max(...loads)}.`);
  return parts.join('\n\n');
}

function row({ column, peer, rounds, text: tell }) {
  const name = `${column.title}${column.unit === '' ? '' : ` (${column.unit})`}: ${peer.title}`;
  return [name, ...[0, 0.5, 0.95, 1].map((part) => tell(partOf(rounds, part))), String(rounds.length)];
}

const text =
  ({ digits }) =>
  (value) =>
    value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** The middle is the mean of two for an even count; every other part is an observation. */
const partOf = (rounds, part) =>
  part === 0.5
    ? median(rounds)
    : quantile(
        rounds.toSorted((one, other) => one - other),
        part,
      );

function goalTable(goals) {
  return table(
    ['goal', 'limit', 'got', 'reached'],
    goals.map(({ id, text: told, most, least, got, reached }) => [
      `${id} ${told}`,
      most === undefined ? `at least ${least}` : `at most ${most}`,
      String(Math.round(got * 100) / 100),
      reached ? 'yes' : '**no**',
    ]),
  );
}

const failure = ({ work, peer, trial, load, failed }) =>
  `- ${work}, ${peer}, trial ${trial}, load average ${load}: ${flat(failed)}`;
const flat = (words) => words.replaceAll(/\s+/g, ' ').trim().slice(0, 400);
