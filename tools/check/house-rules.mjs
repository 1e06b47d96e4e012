// Does the code keep the rules of the house? One line for each place where it does not: `path: rule: what to do`.
//
//   node tools/check/house-rules.mjs [--root <folder>]      exit 0: it does, 1: it does not
//
// Imports are found by dependency-cruiser, the rest by a look at each file. See docs/adr/0001-layers-and-import-rules.md.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { checkDocument } from './document-rules.mjs';
import { checkImports } from './import-rules.mjs';
import { layers, readProjects } from './projects.mjs';
import { checkSource } from './source-rules.mjs';

const folders = ['apps', 'libs', 'tools'];
const sources = /\.(?:tsx?|mjs|cjs|js|lua)$/;
const documents = ['README.md', 'CONTRIBUTING.md'];
const skipped = new Set(['node_modules', 'dist', '.results', 'coverage']);

function* filesIn(root, folder, kind = sources) {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory() && !skipped.has(entry.name)) yield* filesIn(root, path, kind);
    else if (entry.isFile() && kind.test(entry.name)) yield path;
  }
}

/** Every project says its layer and has one face. */
function checkProject(root, project) {
  const problems = [];
  const report = (rule, advice) => problems.push({ path: `${project.path}/package.json`, rule, advice });
  if (project.layer === undefined) {
    report(
      'layer',
      `give it one tag of ${Object.keys(layers)
        .map((layer) => `layer:${layer}`)
        .join(', ')} under nx.tags`,
    );
  }
  const isLibrary = project.path.startsWith('libs/');
  if (isLibrary && !existsSync(join(root, project.path, 'src/index.ts'))) {
    report('barrel', 'a library has src/index.ts, which names all that others may use');
  }
  if (!isLibrary && project.entries.length > 0) report('layers', 'nobody imports an app: take out its exports');
  return problems;
}

const { values } = parseArgs({ options: { root: { type: 'string', default: '.' } } });
const root = resolve(values.root);
const projects = readProjects(root);
const present = folders.filter((folder) => existsSync(join(root, folder)));
const files = present.flatMap((folder) => [...filesIn(root, folder)]);

const sourceProblems = files.flatMap((path) => {
  const project = projects.find((one) => path.startsWith(`${one.path}/`));
  return checkSource({ path, text: readFileSync(join(root, path), 'utf8'), project });
});
// Imports of a file that cannot be read are unknown.
const importProblems = sourceProblems.some(({ rule }) => rule === 'syntax')
  ? []
  : await checkImports(
      root,
      present.filter((folder) => folder !== 'tools'),
    );
const { scripts = {} } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const documentProblems = [
  ...documents.filter((path) => existsSync(join(root, path))),
  ...(existsSync(join(root, 'docs')) ? filesIn(root, 'docs', /\.md$/) : []),
].flatMap((path) =>
  checkDocument({ root, path, text: readFileSync(join(root, path), 'utf8'), scripts: Object.keys(scripts) }),
);
const problems = [
  ...projects.flatMap((project) => checkProject(root, project)),
  ...importProblems,
  ...sourceProblems,
  ...documentProblems,
];

const lines = new Set(problems.map(({ path, rule, advice }) => `${path}: ${rule}: ${advice}`));
for (const line of [...lines].sort()) console.log(line);
console.log(`house rules: ${files.length} files in ${projects.length} projects, ${lines.size} problems`);
process.exitCode = lines.size === 0 ? 0 : 1;
