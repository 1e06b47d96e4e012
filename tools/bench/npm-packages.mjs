// How do proxies from npm get here that the project does not depend on? Exact versions, each in a folder of its own below
// .switchyard/bench, installed when a bench asks for them.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { note, Problem } from '../dev/problem.mjs';
import { runCommand, tail } from '../dev/run-command.mjs';

/** The folder in which these packages (`name@version`, the first one names it) can be imported. */
export async function npmFolder({ cache, packages, install }) {
  const name = packages[0].replaceAll(/[^\w.-]+/g, '-').replace(/^-/, '');
  const folder = join(cache, 'npm', name);
  if (existsSync(join(folder, 'node_modules'))) return folder;
  const missing = (why) =>
    new Problem(`${packages[0]} is not installed: ${why}`, {
      next: 'check the network and the registry (npm ping), then run the bench again.',
    });
  if (!install) throw missing('installing was not wanted.');
  note(`installing ${packages.join(' ')} below .switchyard/bench`);
  // Made aside and moved, so that half an installation is never taken for one.
  const making = `${folder}.${process.pid}`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  writeFileSync(join(making, 'package.json'), '{ "private": true, "type": "module" }\n');
  const words = ['install', '--prefix', making, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const result = await runCommand('npm', [...words, ...packages], { cwd: making, env: withoutNpmRun(process.env) });
  if (result.code === 0) renameSync(making, folder);
  rmSync(making, { recursive: true, force: true });
  if (result.code !== 0) throw missing(`npm did not bring it. Its last lines:\n${tail(result.output, 5)}`);
  return folder;
}

// `npm run` tells its children in which package they are: this npm is to work in another one.
function withoutNpmRun(env) {
  const told = /^(?:npm_(?:package|lifecycle)_.*|npm_config_(?:local_)?prefix|npm_command|INIT_CWD)$/;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !told.test(name)));
}
