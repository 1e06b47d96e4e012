// What is a command? Words that name it, options as data (so that help cannot differ from what is accepted), and what it does.
import type { ApiClient } from './api-client.ts';
import type { ExitCode } from './exit-codes.ts';
import type { Output } from './output.ts';
import type { Terminal } from './terminal.ts';

/** An option `--name`, or `-x` as well. */
export interface CommandOption {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** What stands for the value in the help: `MOMENT`. */
  readonly value?: string;
  readonly doc: string;
}

/** What was given on the command line. */
export interface Given {
  readonly positionals: readonly string[];
  /** A string option; undefined when it was not given. */
  text(name: string): string | undefined;
  flag(name: string): boolean;
}

/** What a command works with. */
export interface CommandContext {
  readonly given: Given;
  readonly api: ApiClient;
  readonly output: Output;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C and by `--timeout`. */
  readonly signal: AbortSignal;
}

/** One command. */
export interface Command {
  /** `['backup', 'list']` */
  readonly words: readonly string[];
  readonly summary: string;
  /** Names of what follows the words, for the help; `[LABEL]` in brackets = may be left out. */
  readonly positionals?: readonly string[];
  readonly options?: Readonly<Record<string, CommandOption>>;
  /** Lines for the end of the help. */
  readonly examples?: readonly string[];
  /** Resolves with the exit code; rejects with a Failure. */
  run(context: CommandContext): Promise<ExitCode>;
}
