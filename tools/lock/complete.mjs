// Completes package-lock.json: entries for optional packages of other platforms that the registry in use could not
// resolve. npm leaves them out without a word, and `npm ci` then stops with EUSAGE "Missing: <name>@ from lock file".
import { readFileSync, writeFileSync } from 'node:fs';

const file = process.argv[2] ?? 'package-lock.json';
const lock = JSON.parse(readFileSync(file, 'utf8'));
const systems = new Set('aix android darwin freebsd linux netbsd openbsd openharmony sunos win32'.split(' '));
const processors = { armv7: 'arm' };
for (const name of 'arm64 x64 ia32 arm ppc64 ppc64le riscv64 s390x loong64 mips64el wasm32'.split(' '))
  processors[name] = name;

/** True when `name` resolves from the package at `from`, looking up the tree the way Node does. */
function resolves(from, name) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    if (lock.packages[`${at ? `${at}/` : ''}node_modules/${name}`]) return true;
    if (!at) return false;
  }
}

/** The `os`, `cpu` and `libc` limits that a platform package's own name spells out. */
function platformOf(name) {
  const words = name.split(/[-/]/);
  const cpu = words.flatMap((word) => processors[word] ?? []);
  const os = words.filter((word) => systems.has(word));
  if (!cpu.length && /arm-?(gnueabihf|eabi|musleabihf)$/.test(name)) cpu.push('arm');
  const libc = /musl/.test(name) ? ['musl'] : /gnu/.test(name) ? ['glibc'] : [];
  return { os, cpu, libc };
}

let added = 0;
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (resolves(path, name)) continue;
    const { os, cpu, libc } = platformOf(name);
    if (!/^\d+\.\d+\.\d+/.test(version) || (!os.length && !cpu.length)) {
      console.error(
        `cannot complete ${name}@${version}: its name names no platform; add it to package-lock.json by hand`,
      );
      process.exitCode = 1;
      continue;
    }
    lock.packages[`node_modules/${name}`] = {
      version,
      ...(entry.dev ? { dev: true } : {}),
      optional: true,
      ...(cpu.length ? { cpu } : {}),
      ...(os.length ? { os } : {}),
      ...(libc.length ? { libc } : {}),
    };
    added += 1;
  }
}
const { '': root, ...rest } = lock.packages;
const sorted = Object.entries(rest).sort(([a], [b]) => a.localeCompare(b, 'en'));
lock.packages = { '': root, ...Object.fromEntries(sorted) };
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`completed ${added} optional platform entries`);
