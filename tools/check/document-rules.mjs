// Do the documents still speak of what is there? Paths, links, npm scripts and tests they name must exist.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** Paths in code spans, such as `libs/proxy/src/engine.ts`; a pattern with * or { names no single file. */
const namedPath = /`((?:apps|libs|tools|docs|docker)\/[\w./-]*[\w/-])`/g;
const link = /\]\(([^)\s#]+)(?:#[^)]*)?\)/g;
/** A test by file and title, or the beginning of its title: `x.test.ts`: "does this" */
const quotedTest = /`([\w./-]+\.(?:ts|mjs))`: "([^"]+)"/g;
const script = /\bnpm run ([\w:-]+)/g;

/** Problems of one Markdown file. `scripts` are those of the root package.json. */
export function checkDocument({ root, path, text, scripts }) {
  const lineOf = (index) => text.slice(0, index).split('\n').length;
  const missing = (match, advice) => ({ path, rule: 'document', advice: `line ${lineOf(match.index)}: ${advice}` });
  return [
    ...[...text.matchAll(namedPath)]
      .filter(([, target]) => !existsSync(join(root, target)))
      .map((match) => missing(match, `${match[1]} does not exist; name what took its place`)),
    ...[...text.matchAll(link)]
      .filter(
        ([, target]) =>
          !/^(?:[a-z]+:|\/)/.test(target) && !existsSync(join(root, normalize(join(dirname(path), target)))),
      )
      .map((match) => missing(match, `the link ${match[1]} leads nowhere; mend it`)),
    ...[...text.matchAll(quotedTest)]
      .filter(
        ([, file, title]) => existsSync(join(root, file)) && !readFileSync(join(root, file), 'utf8').includes(title),
      )
      .map((match) => missing(match, `${match[1]} has no test "${match[2]}"; name the one that shows it`)),
    ...[...text.matchAll(script)]
      .filter(([, name]) => !scripts.includes(name))
      .map((match) => missing(match, `npm run ${match[1]} is no script of package.json; name one that is`)),
  ];
}
