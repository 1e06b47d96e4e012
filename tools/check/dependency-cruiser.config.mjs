// Who may import whom, as rules for dependency-cruiser. It reads TypeScript through swc: its own reader needs TypeScript < 7.
// By hand: depcruise --config tools/check/dependency-cruiser.config.mjs apps libs
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { layers, owners, readProjects, testFile } from './projects.mjs';

const tests = testFile.source;
const escape = (text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
const oneOf = (items) => `(?:${items.join('|')})`;
const within = (projects) => `^${oneOf(projects.map(({ path }) => escape(path)))}/`;
const npmPackage = (names) => `node_modules/(?:@types/)?${oneOf(names)}/`;

/** The part of the rules that follows from the layer of each project. */
function layerRules(projects) {
  return Object.entries(layers).flatMap(([layer, allowed]) => {
    const own = projects.filter((project) => project.layer === layer);
    const barred = projects.filter((project) => !allowed.includes(project.layer) && project.layer !== 'testing');
    if (own.length === 0 || barred.length === 0) return [];
    return [
      {
        name: 'layers',
        comment: `the layer "${layer}" may import ${allowed.length ? allowed.join(', ') : 'no other project'}; pass the rest in as an argument from main.ts`,
        // The project itself is not "another one": $1 is the folder of the importing project.
        from: { path: `^(${oneOf(own.map(({ path }) => escape(path)))})/` },
        to: { path: within(barred), pathNot: '^$1/' },
      },
    ];
  });
}

/** Imports of workspace packages that the project's own package.json does not name. */
function declarationRules(projects) {
  return projects.flatMap((project) => {
    const rule = (declared, from) => {
      const missing = projects.filter(({ name, path }) => path !== project.path && !declared.includes(name));
      if (missing.length === 0) return [];
      return [{ name: 'undeclared', comment: undeclaredAdvice, from, to: { path: within(missing) } }];
    };
    const own = within([project]);
    return [
      ...rule(project.dependencies, { path: own, pathNot: tests }),
      ...rule([...project.dependencies, ...project.devDependencies], { path: `${own}.*${tests}` }),
    ];
  });
}

const undeclaredAdvice =
  "name it in the dependencies of this project's own package.json (devDependencies serve tests only), or do without it";

/** All rules for the workspace at `root`. A rule's comment is what to do. */
export function importRules(root) {
  const projects = readProjects(root);
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const toolsOfTests = Object.keys(manifest.devDependencies ?? {}).map(escape);
  const pure = projects.filter(({ layer }) => layer === 'domain' || layer === 'contract');
  const domain = projects.filter(({ layer }) => layer === 'domain');
  const contract = projects.filter(({ layer }) => layer === 'contract');
  const testing = projects.filter(({ layer }) => layer === 'testing');
  const testers = projects.filter(({ layer }) => layer === 'testing' || layer === 'e2e');

  return [
    ...layerRules(projects),
    ...declarationRules(projects),
    {
      name: 'undeclared',
      comment: undeclaredAdvice,
      from: { path: '^(?:apps|libs)/', pathNot: tests },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-dev'] },
    },
    {
      name: 'undeclared',
      comment: undeclaredAdvice,
      from: { path: tests },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'], pathNot: npmPackage(['(?!)', ...toolsOfTests]) },
    },
    {
      name: 'unresolved',
      comment:
        'there is no such module, or its package does not export it; import the package by its name, a file with its .ts',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'project-border',
      comment: 'a relative import may not leave its project; import the package by its name',
      // The configuration of a tool extends the common one under tools/.
      from: { path: '^((?:apps|libs)/[^/]+)/', pathNot: '/[^/]+\\.config\\.mjs$' },
      to: { dependencyTypes: ['local'], pathNot: '^$1/' },
    },
    {
      name: 'cycle',
      comment: 'files may not import each other in a circle; move what both need into a third file',
      from: {},
      // Two objects that know each other by type only are no circle when the program runs.
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    ...Object.entries(owners).map(([path, packages]) => ({
      name: 'owner',
      comment: `only ${path} may import this package; use what ${path} exports`,
      from: { path: '^(?:apps|libs)/', pathNot: `^${path}/` },
      to: { path: npmPackage(packages) },
    })),
    {
      name: 'testing',
      comment: 'only tests (*.test.ts, *.e2e.ts, *-fixture.ts) may import tests and what serves them',
      from: { path: '^(?:apps|libs)/', pathNot: [tests, ...(testers.length ? [within(testers)] : [])] },
      to: { path: oneOf([tests, ...(testing.length ? [within(testing)] : []), npmPackage(['(?!)', ...toolsOfTests])]) },
    },
    ...(pure.length === 0
      ? []
      : [
          {
            name: 'purity',
            comment: 'contract and domain code use no module of Node; take the value as an argument',
            from: { path: within(pure), pathNot: tests },
            to: { dependencyTypes: ['core'] },
          },
        ]),
    ...(domain.length === 0
      ? []
      : [
          {
            name: 'purity',
            comment: 'domain code imports no npm package; write the decision out, or take the value as an argument',
            from: { path: within(domain), pathNot: tests },
            to: { path: 'node_modules/' },
          },
        ]),
    ...(contract.length === 0
      ? []
      : [
          {
            name: 'purity',
            comment: 'the contract imports zod and nothing else',
            from: { path: within(contract), pathNot: tests },
            to: { path: 'node_modules/', pathNot: npmPackage(['zod']) },
          },
        ]),
    // Several rules may carry one name for people; dependency-cruiser wants them apart.
  ].map((rule, index) => ({ ...rule, severity: 'error', name: `${rule.name}#${index}` }));
}

/** How dependency-cruiser reads this workspace: TypeScript through swc, packages by their `exports`. */
export const cruiseOptions = {
  parser: 'swc',
  // Imports of types count as imports.
  tsPreCompilationDeps: true,
  doNotFollow: { path: 'node_modules' },
  exclude: { path: '(?:^|/)(?:dist|\\.results)/' },
  enhancedResolveOptions: {
    exportsFields: ['exports'],
    conditionNames: ['node', 'import', 'default', 'types'],
    extensions: ['.ts', '.tsx', '.js', '.mjs', '.cjs', '.json'],
  },
};

export default { forbidden: importRules(process.cwd()), options: cruiseOptions };
