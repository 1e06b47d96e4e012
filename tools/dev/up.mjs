// `npm start`: what a fresh machine lacks is installed, then the local yard runs in the foreground until Ctrl-C.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { readArguments, usage } from './arguments.mjs';
import { bootstrap, repositoryRoot } from './bootstrap.mjs';
import { portHolder } from './port-holder.mjs';
import { portNotes, settlePorts, wantedPorts } from './ports.mjs';
import { note, Problem } from './problem.mjs';
import { redisKindOf } from './redis-kind.mjs';
import { endLeftovers, removeRecords, takeLock } from './run-records.mjs';
import { runYard } from './run-yard.mjs';

const options = readArguments(process.argv.slice(2));
if (options.kind === 'help') {
  console.log(usage);
} else if (options.kind === 'wrong') {
  console.error(`${options.why}\n\n${usage}`);
  process.exitCode = 2;
} else {
  await main(options);
}

async function main({ backends, ephemeral }) {
  // Before there is a yard a signal has only this to undo: a started installer and an empty temporary folder.
  const early = new AbortController();
  const interrupt = () => early.abort();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, interrupt);

  let home;
  let setup;
  try {
    home = ephemeral
      ? mkdtempSync(join(tmpdir(), 'switchyard-'))
      : resolve(repositoryRoot, process.env.SWITCHYARD_HOME || '.switchyard');
    setup = await prepare({ home, ephemeral, signal: early.signal });
    early.signal.throwIfAborted();
  } catch (error) {
    if (home !== undefined && !error.locked) removeRecords(home);
    if (ephemeral && home !== undefined) rmSync(home, { recursive: true, force: true });
    // What an interrupted installer has to say is not news.
    if (early.signal.aborted) {
      note('stopped before the yard was started');
      process.exit(130);
    }
    console.error(error instanceof Problem ? `switchyard: ${error.message}` : error);
    process.exit(1);
  }
  for (const signal of signals) process.off(signal, interrupt);
  await runYard({ ...setup, backends, ephemeral });
}

async function prepare({ home, ephemeral, signal }) {
  const redisUrl = process.env.SWITCHYARD_REDIS_URL || undefined;
  const chosen = redisKindOf(process.env);
  if (!chosen.ok) throw new Problem(chosen.why);
  const redisKind = redisUrl === undefined ? chosen.kind : undefined;
  const wish = wantedPorts(process.env, redisKind?.name ?? 'none');
  if (!wish.ok) throw new Problem(wish.why.join('\n'));

  mkdirSync(home, { recursive: true });
  const lock = takeLock(home);
  if (!lock.ok) {
    const { pid, traffic } = lock.holder;
    throw Object.assign(
      new Problem(`A yard already runs in ${home} (pid ${pid}${traffic ? `, ${traffic}` : ''}).`, {
        next: 'use that one, or end it with Ctrl-C; `SWITCHYARD_HOME=... SWITCHYARD_PORT_OFFSET=1000 npm start` starts a second one.',
      }),
      { locked: true },
    );
  }
  const { node, redisServer } = await bootstrap({ needRedis: redisUrl === undefined, signal });
  const leftovers = await endLeftovers(home);
  if (leftovers.length > 0) note(`ended what a killed yard had left behind: ${leftovers.join(', ')}`);

  const { wanted } = wish;
  const { ports, moved } = await settlePorts({ wanted, earlier: redisKind?.earlierTopology(home) });
  for (const line of portNotes(moved, portHolder)) note(line);
  const group = redisKind?.prepare({ home, ports, wanted });
  if (group?.warning) note(group.warning);
  const cache = join(ephemeral ? join(repositoryRoot, '.switchyard') : home, 'cache');
  const redis = { redisServer, redisUrl, redisKind, group };
  return { root: repositoryRoot, home, cache, ports, demoBase: wish.demoBase, node, ...redis };
}
