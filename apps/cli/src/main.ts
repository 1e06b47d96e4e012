// The command line of Switchyard. Wiring only.
import { runCommandLine } from './command-line.ts';
import { commands } from './commands/commands.ts';
import { environment } from './config.ts';

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => interrupted.abort(new Error('interrupted')));
}
// A reader such as `head` may leave before everything is said.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

process.exitCode = await runCommandLine(commands, process.argv.slice(2), {
  env: environment,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupted.signal,
});
