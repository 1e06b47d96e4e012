// How does the bootstrap run a program? With its output kept for the case that it fails.
import { spawn } from 'node:child_process';

const keptBytes = 64 * 1024;

/** Resolves with `{ code, output }`; a program that does not exist has code 127. Never rejects. */
export function runCommand(command, words, { cwd, env = process.env, signal } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, words, { cwd, env, signal, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output = (output + text).slice(-keptBytes);
      });
    }
    child.once('error', (error) =>
      resolve({ code: error.code === 'ENOENT' ? 127 : 1, output: output + error.message }),
    );
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

/** The last lines of an output, indented. */
export function tail(output, lines = 12) {
  return output
    .trimEnd()
    .split('\n')
    .slice(-lines)
    .map((line) => `  ${line}`)
    .join('\n');
}
