// How is a bench told? A Markdown document for people and a JSON document for programs, made from the same data.
import { median } from './statistics.mjs';

/** `{ markdown, json }` of a bench that has run. `places`: folders of this machine that nobody else knows; they are not named. */
export function reportOf({ bench, machine, settings, outcome, places = [] }) {
  const { record, works, peers } = outcome;
  const { results, value, problems, missing, loads, foreignParts } = record.result();
  const foreignPercent = foreignParts.map((part) => Math.round(part * 1_000) / 10);
  const goals = bench.goals.map((goal) => judge(goal, value));
  const known = goals.filter(({ got }) => got !== undefined);
  const versions = peers.map(({ peer, prepared }) => ({
    peer: peer.name,
    title: peer.title,
    version: prepared.version,
  }));
  const sections = works.map((work) => sectionOf({ work, bench, results, versions }));
  const markdown = [
    `# Bench: ${bench.name}`,
    `Made by \`npm run bench -- ${bench.name}\`; how to read it is in [benchmarks](../benchmarks.md). ${aboutOf({ machine, settings, loads, foreignPercent })}`,
    ...sections,
    ...(known.length === 0 ? [] : ['## Goals', goalTable(known)]),
    ...(missing.length === 0
      ? []
      : ['## Missing', missing.map(({ title, why }) => `- ${oneLine(title, why)}`).join('\n')]),
    ...(problems.length === 0 ? [] : ['## Problems', problems.map((text) => `- ${oneLine('', text)}`).join('\n')]),
  ].join('\n\n');
  const json = {
    bench: bench.name,
    machine,
    settings,
    loadAverages: loads,
    foreignPercent,
    versions,
    results,
    goals,
    missing,
    problems,
  };
  const hidden = (text) => places.reduce((left, place) => left.replaceAll(place, '...'), text);
  return { markdown: hidden(`${markdown}\n`), json: hidden(`${JSON.stringify(json, null, 2)}\n`) };
}

function aboutOf({ machine, settings, loads, foreignPercent }) {
  const { date, cores, processor, memoryGiB, platform, node, pinned } = machine;
  const spread = loads.length === 0 ? 'unknown' : `${Math.min(...loads)} to ${Math.max(...loads)}`;
  const foreign =
    foreignPercent.length === 0
      ? ''
      : `; others had ${median(foreignPercent)} % of the measured core (median; at most ${Math.max(...foreignPercent)} %)`;
  return (
    `${date.slice(0, 16).replace('T', ' ')} UTC, ${cores} cores (${processor}), ${memoryGiB} GiB, ${platform}, Node ${node}` +
    `${pinned ? '' : ', **processes not pinned: there is no taskset**'}. Median (least to most) of ` +
    `${settings.rounds} rounds of ${settings.seconds} s; load average ${spread}${foreign}.`
  );
}

/** The numbers of one work, then the same in relation to the references. */
function sectionOf({ work, bench, results, versions }) {
  const here = results.filter((one) => one.work === work.name);
  const find = (peer, key) => here.find((one) => one.peer === peer && one.key === key);
  const columns = bench.columns.filter(({ key }) => here.some((one) => one.key === key));
  const rows = versions.filter(({ peer }) => here.some((one) => one.peer === peer));
  const parts = [`## ${work.title}`];
  if (work.ratePerSecond !== undefined) parts.push(`The fixed rate is ${count(work.ratePerSecond)}/s.`);
  if (rows.length === 0) return [...parts, 'Nothing was measured.'].join('\n\n');
  const heads = columns.map(({ title, unit }) => (unit === '' ? title : `${title} (${unit})`));
  const nameOf = ({ title, version }) => `${title} ${version}`.trim();
  parts.push(
    table(
      ['', ...heads],
      rows.map((row) => [nameOf(row), ...columns.map((column) => cell(find(row.peer, column.key), column))]),
    ),
  );
  const references = bench.reference.filter((name) => rows.some(({ peer }) => peer === name));
  const compared = columns.filter(
    ({ better, key }) => better !== undefined && references.some((name) => find(name, key)),
  );
  if (references.length === 0 || compared.length === 0) return parts.join('\n\n');
  const titleOf = (name) => versions.find(({ peer }) => peer === name)?.title;
  const ratio = (row, column) => {
    if (find(row.peer, column.key) === undefined) return '-';
    return references.map((name) => quotient(find(row.peer, column.key), find(name, column.key))).join(' / ');
  };
  parts.push(
    `In relation to ${references.map(titleOf).join(' / ')}:`,
    table(
      ['', ...compared.map(({ title, better }) => `${title} (${better} is better)`)],
      rows.map((row) => [row.title, ...compared.map((column) => ratio(row, column))]),
    ),
  );
  return parts.join('\n\n');
}

function judge({ text, most, least, got: read }, value) {
  const got = read(value);
  const reached = got === undefined ? undefined : most === undefined ? got >= least : got <= most;
  return { text, ...(most === undefined ? { least } : { most }), got, reached };
}

function goalTable(goals) {
  return table(
    ['goal', 'limit', 'got', 'reached'],
    goals.map(({ text, most, least, got, reached }) => [
      text,
      most === undefined ? `at least ${least}` : `at most ${most}`,
      String(Math.round(got * 1_000) / 1_000),
      reached ? 'yes' : '**no**',
    ]),
  );
}

function cell(found, { digits }) {
  if (found === undefined) return '-';
  const { min, max, rounds } = found;
  const text = (value) => count(value, digits);
  return rounds.length === 1 ? text(found.median) : `${text(found.median)} (${text(min)} to ${text(max)})`;
}

function quotient(one, other) {
  if (other === undefined || other.median === 0) return '-';
  return (one.median / other.median).toFixed(2);
}

function count(value, digits = 0) {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A Markdown table with aligned columns; all but the first to the right. */
export function table(heads, rows) {
  const widths = heads.map((head, index) => Math.max(3, head.length, ...rows.map((row) => row[index].length)));
  const line = (cells) =>
    `| ${cells.map((text, index) => (index === 0 ? text.padEnd(widths[0]) : text.padStart(widths[index]))).join(' | ')} |`;
  const rule = widths.map((width, index) => (index === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(heads), line(rule), ...rows.map(line)].join('\n');
}

function oneLine(title, text) {
  const flat = text.replaceAll(/\s+/g, ' ').trim().slice(0, 600);
  return title === '' ? flat : `${title}: ${flat}`;
}
