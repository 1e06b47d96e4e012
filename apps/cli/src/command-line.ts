// What did a person ask for? The command is found by its words, its options are read by its own table, and its end becomes an exit code.
import { parseArgs } from 'node:util';
import { parseDurationMs } from '@switchyard/protocol';
import { createApiClient } from './api-client.ts';
import type { Command, CommandOption, Given } from './command.ts';
import { urlSetting } from './config.ts';
import { exitCodes, type ExitCode } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { commandHelp, overview } from './help.ts';
import { createOutput, isFormat, type Format } from './output.ts';
import { createTerminal, type TerminalStreams } from './terminal.ts';

/** The outside world. */
export interface CommandLineWorld extends TerminalStreams {
  readonly env: NodeJS.ProcessEnv;
  /** Aborted when the person interrupts. */
  readonly signal: AbortSignal;
}

/** Options of every command. */
export const commonOptions: Readonly<Record<string, CommandOption>> = Object.freeze({
  url: { type: 'string', value: 'URL', doc: 'control listener; or SWITCHYARD_URL. http://127.0.0.1:4710' },
  output: { type: 'string', short: 'o', value: 'FORMAT', doc: 'table, json or yaml; what is printed on stdout. table' },
  timeout: { type: 'string', value: 'DURATION', doc: 'give up waiting after this; the work itself goes on. no limit' },
  help: { type: 'boolean', short: 'h', doc: 'show this' },
});

/** Runs one command; resolves with its exit code. Data goes to stdout, everything else to stderr. */
export async function runCommandLine(
  commands: readonly Command[],
  args: readonly string[],
  world: CommandLineWorld,
): Promise<ExitCode> {
  const terminal = createTerminal(world);
  let format: Format = 'table';
  let limits: Limits = { interrupted: world.signal, limit: undefined };
  try {
    const command = findCommand(commands, args);
    if (command === undefined) {
      const isAsked = args.some(isHelp);
      if (args.length > 0 && !isAsked) throw unknownCommand(commands, args);
      const text = overview(
        commands,
        args.filter((arg) => !isHelp(arg)),
      );
      (isAsked ? world.stdout : world.stderr).write(text);
      return isAsked ? exitCodes.ok : exitCodes.usage;
    }
    const given = readOptions(command, args.slice(command.words.length));
    if (given.flag('help')) {
      world.stdout.write(commandHelp(command, commonOptions));
      return exitCodes.ok;
    }
    format = formatOf(given);
    checkPositionals(command, given);
    const timeoutMs = timeoutOf(given);
    if (timeoutMs !== undefined) limits = { ...limits, limit: AbortSignal.timeout(timeoutMs) };
    const code = await command.run({
      given,
      api: createApiClient(urlSetting(given.text('url'), world.env)),
      output: createOutput(world.stdout, format),
      terminal,
      signal: limits.limit === undefined ? world.signal : AbortSignal.any([world.signal, limits.limit]),
    });
    terminal.endProgress();
    return code;
  } catch (error) {
    terminal.endProgress();
    const failure = failureFor(error, limits);
    if (format === 'json' && failure.problem !== undefined)
      world.stdout.write(`${JSON.stringify(failure.problem, null, 2)}\n`);
    terminal.note(textOf(failure));
    return failure.exitCode;
  }
}

interface Limits {
  readonly interrupted: AbortSignal;
  readonly limit: AbortSignal | undefined;
}

function findCommand(commands: readonly Command[], args: readonly string[]): Command | undefined {
  return commands.find(({ words }) => words.every((word, index) => args[index] === word));
}

function unknownCommand(commands: readonly Command[], args: readonly string[]): Failure {
  const group = commands.filter(({ words }) => words[0] === args[0]);
  const known =
    group.length === 0 ? [...new Set(commands.map(({ words }) => words[0]))] : group.map((one) => one.words[1]);
  const said = args
    .filter((arg) => !arg.startsWith('-'))
    .slice(0, 2)
    .join(' ');
  return usageFailure(
    `There is no command ${JSON.stringify(said)}. There ${known.length === 1 ? 'is' : 'are'} ${known.join(', ')}.`,
    'switchyard --help shows all commands.',
  );
}

const isHelp = (arg: string): boolean => arg === '--help' || arg === '-h' || arg === 'help';

/** Reads options by the command's table. Refuses unknown ones. */
function readOptions(command: Command, args: readonly string[]): Given {
  const table = { ...commonOptions, ...command.options };
  const options = Object.fromEntries(
    Object.entries(table).map(([name, { type, short }]) => [name, { type, ...(short === undefined ? {} : { short }) }]),
  );
  try {
    const { values, positionals } = parseArgs({
      args: joinedMoments(args),
      options,
      allowPositionals: true,
      strict: true,
    });
    return {
      positionals,
      text: (name) => {
        const value = values[name];
        return typeof value === 'string' ? value : undefined;
      },
      flag: (name) => values[name] === true,
    };
  } catch (error) {
    const message = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw usageFailure(message, `switchyard ${command.words.join(' ')} --help shows what is possible.`);
  }
}

// `--to -5m` is a moment and no option.
function joinedMoments(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const [arg = '', next = ''] = [args[index], args[index + 1]];
    if (arg.startsWith('--') && !arg.includes('=') && /^-\d/.test(next)) {
      joined.push(`${arg}=${next}`);
      index += 1;
    } else joined.push(arg);
  }
  return joined;
}

function checkPositionals(command: Command, { positionals }: Given): void {
  const names = command.positionals ?? [];
  const needed = names.filter((name) => !name.startsWith('['));
  const help = `switchyard ${command.words.join(' ')} --help shows what is possible.`;
  if (positionals.length < needed.length)
    throw usageFailure(`${needed.slice(positionals.length).join(' and ')} is missing.`, help);
  if (positionals.length > names.length)
    throw usageFailure(`${positionals.slice(names.length).join(' ')} is too much.`, help);
}

function formatOf(given: Given): Format {
  const format = given.text('output') ?? 'table';
  if (isFormat(format)) return format;
  throw usageFailure(`There is no output format ${JSON.stringify(format)}.`, 'Choose table, json or yaml.');
}

function timeoutOf(given: Given): number | undefined {
  const text = given.text('timeout');
  if (text === undefined) return undefined;
  const ms = parseDurationMs(text);
  if (ms === undefined || ms === 0) throw usageFailure(`${text} is no duration.`, 'Write it as 30s, 5m or 2h.');
  return ms;
}

function failureFor(error: unknown, { interrupted, limit }: Limits): Failure {
  if (interrupted.aborted) return new Failure('Interrupted.', { exitCode: exitCodes.interrupted });
  if (error instanceof Failure) return error;
  if (limit?.aborted === true)
    return new Failure('It took longer than --timeout.', {
      exitCode: exitCodes.timeout,
      next: 'The work itself goes on: switchyard ops list shows it.',
    });
  // The schemas are those of this version.
  if (error instanceof Error && error.name === 'ZodError')
    return new Failure('The answer is not what this version expects.', {
      why: [error.message.split('\n').slice(0, 8).join(' ')],
      next: 'Compare the versions: switchyard version.',
    });
  throw error;
}

function textOf({ message, why, next }: Failure): string {
  const lines = [`switchyard: ${message}`, ...why.map((line) => `  - ${line}`)];
  return [...lines, ...(next === undefined ? [] : [`next: ${next}`])].join('\n');
}
