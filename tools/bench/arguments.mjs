// What did the person who typed `npm run bench -- ...` ask for?
import { parseArgs } from 'node:util';

export const usage = `Usage: npm run bench [-- BENCH...] [OPTIONS]

Measures this project beside others on the same work and writes a table (Markdown) and the data (JSON).
Without a name, all benches run.

  --seconds N     how long each measurement takes
  --rounds N      how often everything is measured; medians are told (--trials is the same)
  --quick         as short as it can be: shows that it works, its numbers say little
  --only A,B      only these peers; numbers are those of the work, where it has some
  --work A,B      only this work
  --output DIR    where the documents go (default docs/generated)
  --no-install    a peer that is not there is missing; nothing is installed
  --list          names the benches, their peers and their work
  -h, --help      this text`;

const options = {
  seconds: { type: 'string' },
  rounds: { type: 'string' },
  trials: { type: 'string' },
  quick: { type: 'boolean' },
  only: { type: 'string' },
  work: { type: 'string' },
  output: { type: 'string' },
  'no-install': { type: 'boolean' },
  list: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
};

const within = { seconds: [1, 600], rounds: [1, 50], trials: [1, 50] };

/**
 * Reads the command line against the table of benches.
 * @returns {{ kind: 'run', runs: object[], output?: string, install: boolean } | { kind: 'help' | 'list' }
 *   | { kind: 'wrong', why: string }}
 */
export function readArguments(words, benches) {
  let parsed;
  try {
    parsed = parseArgs({ args: words, options, allowPositionals: true });
  } catch (error) {
    return { kind: 'wrong', why: error.message };
  }
  const { values, positionals } = parsed;
  if (values.help) return { kind: 'help' };
  if (values.list) return { kind: 'list' };
  try {
    const named = choose('bench', positionals.length === 0 ? undefined : positionals.join(','), benches);
    const numbers = {
      seconds: whole('seconds', values.seconds),
      rounds: whole('rounds', values.rounds) ?? whole('trials', values.trials),
    };
    const all = (key) => named.flatMap((bench) => bench[key]);
    const only = readOnly(values.only, named);
    const peers = choose('peer', only.peers, all('peers'));
    const works = choose(
      'work',
      values.work ?? only.works,
      all('works').map((name) => ({ name })),
    );
    const quick = values.quick === true;
    const runs = named.map((bench) => ({
      bench,
      seconds: numbers.seconds ?? (quick ? bench.quick?.seconds : undefined) ?? bench.seconds,
      rounds: numbers.rounds ?? (quick ? (bench.quick?.rounds ?? 1) : undefined) ?? bench.rounds,
      ...(quick ? { quick } : {}),
      peers: bench.peers.filter((peer) => peers.includes(peer)),
      works: bench.works.filter((name) => works.some((work) => work.name === name)),
    }));
    return { kind: 'run', runs, output: values.output, install: values['no-install'] !== true };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { kind: 'wrong', why: error.message };
  }
}

/** `--only` with numbers chooses work, with names peers. */
function readOnly(text, named) {
  if (text === undefined || !/^\d[\d,]*$/.test(text)) return { peers: text };
  const numbers = new Set(text.split(',').map(Number));
  const works = named.flatMap(({ numbers: known = new Map() }) =>
    [...known].filter(([, number]) => numbers.has(number)).map(([name]) => name),
  );
  if (works.length === 0) throw new RangeError(`There is no work with number ${text}`);
  return { works: works.join(',') };
}

/** Those of `all` that `text` names, separated by commas; all for undefined. */
function choose(what, text, all) {
  if (text === undefined) return all;
  const names = text.split(',').filter((name) => name !== '');
  const unknown = names.find((name) => !all.some((one) => one.name === name));
  if (unknown !== undefined || names.length === 0) {
    const known = [...new Set(all.map(({ name }) => name))].join(', ');
    throw new RangeError(`There is no ${what} "${unknown ?? ''}"; there are: ${known}`);
  }
  return all.filter(({ name }) => names.includes(name));
}

function whole(name, text) {
  if (text === undefined) return undefined;
  const [min, max] = within[name];
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new RangeError(`--${name} takes a whole number from ${min} to ${max}, not "${text}"`);
}
