#!/usr/bin/env node
// Which Node runs the command line? The running one if it can strip types, else the one that npm installed beside the packages.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(realpathSync(fileURLToPath(import.meta.url)));
const main = join(here, '..', 'src', 'main.ts');
const installed = join(here, '..', '..', '..', 'node_modules', '.bin', 'node');
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
// Types are stripped without a flag and without a warning from here on.
const canRun = major > 24 || (major === 24 && minor >= 12);

if (canRun) {
  await import(pathToFileURL(main).href);
} else if (existsSync(installed)) {
  const child = spawn(installed, ['--disable-warning=ExperimentalWarning', main, ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  // The terminal sends an interrupt to both; a signal to this process alone has to be handed on.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('error', (error) => {
    console.error(`switchyard: ${installed} cannot be started: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code) => {
    process.exitCode = code ?? 1;
  });
} else {
  console.error(`switchyard: Node ${process.versions.node} is too old, and npm has not installed a newer one here.`);
  console.error('next: run `npm ci` in the repository, or use Node 24 (https://nodejs.org).');
  process.exitCode = 1;
}
