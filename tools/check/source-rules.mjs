// Does one source file keep the rules that can be seen in it alone? Read as a syntax tree, so that words in comments do not count.
import { parseSync } from '@swc/core';
import { testFile } from './projects.mjs';

const longestFileLines = 400;
const longestMainLines = 100;
/** Keys and channels of Switchyard in Redis, as libs/protocol/src/keys.ts spells them. */
const redisName = /\{switchyard\}|\bswitchyard:(?:events|register|heartbeat)\b/;
const unfinished = /(?:\/\/|\/\*|^\s*\*|--)\s*(?:TODO|FIXME|XXX)\b/;

const isIdentifier = (node, name) => node?.type === 'Identifier' && node.value === name;
const isMember = (node, object, property) =>
  node.type === 'MemberExpression' &&
  isIdentifier(node.object, object) &&
  (!property || isIdentifier(node.property, property));

/** Rules for domain code: decisions of its arguments alone. */
function impurity(node) {
  if (isMember(node, 'Date', 'now')) return 'Date.now() reads a clock; take nowMs as an argument';
  if (isMember(node, 'Math', 'random')) return 'Math.random() is not repeatable; take a random source as an argument';
  if (node.type === 'NewExpression' && isIdentifier(node.callee, 'Date') && !node.arguments?.length) {
    return 'new Date() reads a clock; take nowMs as an argument';
  }
  if (node.type === 'CallExpression' && isIdentifier(node.callee, 'Date')) {
    return 'Date() reads a clock; take nowMs as an argument';
  }
  if (node.async === true || node.function?.async === true || node.type === 'AwaitExpression')
    return 'domain code does not wait; return what is to be done';
  if (isMember(node, 'Promise') || (node.type === 'NewExpression' && isIdentifier(node.callee, 'Promise'))) {
    return 'domain code does not wait; return what is to be done';
  }
  if (isIdentifier(node, 'globalThis')) return 'globalThis hides a dependency; take the value as an argument';
  return undefined;
}

const isDefaultExport = (node) =>
  node.type === 'ExportDefaultDeclaration' ||
  node.type === 'ExportDefaultExpression' ||
  (node.type === 'ExportNamedDeclaration' &&
    node.specifiers.some(
      (one) => (one.exported ?? one.orig)?.value === 'default' || one.type === 'ExportDefaultSpecifier',
    ));

/** What is wrong with one node of the tree, as [rule, advice] pairs. */
function faultsOfNode(node, file) {
  const faults = [];
  const { test, project, entry } = file;
  if (project?.layer === 'domain' && !test) {
    const advice = impurity(node);
    if (advice) faults.push(['purity', advice]);
  }
  if (isDefaultExport(node) && !file.path.endsWith('.config.ts')) {
    faults.push(['default-export', 'export it by its name']);
  }
  if (node.type === 'ExportAllDeclaration') {
    faults.push(['barrel', 'name what is exported instead of export *']);
  } else if (node.type === 'ExportNamedDeclaration' && node.source && !entry) {
    faults.push(['barrel', 'only an entry of package.json re-exports; import it from where it is defined']);
  }
  if (project && project.layer !== 'contract' && !test) {
    const text = node.type === 'StringLiteral' ? node.value : node.type === 'TemplateElement' ? node.raw : '';
    if (redisName.test(text)) {
      faults.push([
        'redis-name',
        'spells a Redis key or channel; take it from keys or channels of @switchyard/protocol',
      ]);
    }
  }
  if (
    !test &&
    isMember(node, 'process', 'env') &&
    !['platform', 'testing', 'e2e'].includes(project?.layer) &&
    project
  ) {
    faults.push(['environment', 'only the configuration reads the environment; declare a setting in config.ts']);
  }
  return faults;
}

function* nodesOf(tree) {
  if (Array.isArray(tree)) {
    for (const item of tree) yield* nodesOf(item);
  } else if (tree !== null && typeof tree === 'object') {
    if (typeof tree.type === 'string') yield tree;
    for (const [name, child] of Object.entries(tree)) if (name !== 'span') yield* nodesOf(child);
  }
}

/** [line, rule, advice] for each fault in the syntax tree of a TypeScript file. */
function treeFaults(file) {
  // Spans count from the first token: with one of ours in front, that is the start of the file.
  const marker = '0;';
  const bytes = Buffer.from(file.text);
  let tree;
  try {
    tree = parseSync(marker + file.text, { syntax: 'typescript', tsx: file.path.endsWith('x'), target: 'es2024' });
  } catch (error) {
    return [[1, 'syntax', `cannot be read: ${String(error.message).replaceAll(/\s+/g, ' ').slice(0, 200)}`]];
  }
  const lineOf = (node) => {
    const end = (node.span?.start ?? tree.span.start) - tree.span.start - marker.length;
    return bytes.subarray(0, Math.max(0, end)).toString().split('\n').length;
  };
  return [...nodesOf(tree.body)].flatMap((node) =>
    faultsOfNode(node, file).map(([rule, advice]) => [lineOf(node), rule, advice]),
  );
}

/** [line, rule, advice] for what is seen in the text of any file, Lua included. */
function textFaults({ path, text, lines, test, project }) {
  const faults = [];
  const isLua = path.endsWith('.lua');
  const count = text.endsWith('\n') ? lines.length - 1 : lines.length;
  if (count > longestFileLines) {
    faults.push([count, 'length', `has ${count} lines, at most ${longestFileLines} are allowed; split it by concept`]);
  }
  if (/^apps\/[^/]+\/src\/main\.ts$/.test(path) && count >= longestMainLines) {
    faults.push([count, 'main', `has ${count} lines; main.ts only wires and stays under ${longestMainLines}`]);
  }
  if (project && !test && !path.endsWith('/src/index.ts') && !/^(?:#!.*\n)?(?:\/\/|\/\*|--)/.test(text)) {
    faults.push([1, 'header', 'begin with a comment: the question that this file answers']);
  }
  if (/\/index\.tsx?$/.test(path) && !/^(?:apps|libs)\/[^/]+\/src\/index\.ts$/.test(path)) {
    faults.push([1, 'barrel', 'only src/index.ts is called index; name the file after its concept']);
  }
  lines.forEach((line, index) => {
    if (unfinished.test(line))
      faults.push([index + 1, 'unfinished', 'finish it, or open an issue and take the note out']);
    if (isLua && project && redisName.test(line)) {
      faults.push([index + 1, 'redis-name', 'spells a Redis key or channel; take it through KEYS or ARGV']);
    }
  });
  return faults;
}

/** Problems of one file. `project` is the one it belongs to, undefined for tools. */
export function checkSource({ path, text, project }) {
  const file = {
    path,
    text,
    project,
    lines: text.split('\n'),
    test: testFile.test(path),
    entry: path.endsWith('/src/index.ts') || (project?.entries.includes(path) ?? false),
  };
  const faults = [...textFaults(file), ...(/\.tsx?$/.test(path) ? treeFaults(file) : [])];
  return faults.map(([line, rule, advice]) => ({ path, rule, advice: `line ${line}: ${advice}` }));
}
