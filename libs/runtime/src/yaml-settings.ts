// Which settings does a YAML file hold, and on which line is each?
import { readFileSync } from 'node:fs';
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Document, Node, Pair } from 'yaml';
import type { RawValue } from './setting.ts';

/** One value of the file. */
export interface YamlEntry {
  /** The variable that means the same. */
  readonly env: string;
  /** `file:line:column path.to.key`, for messages. */
  readonly place: string;
  /** The keys as written, with dots. */
  readonly path: string;
  readonly raw: RawValue;
}

/** What a file says; an entry without a value (`key:`) is left out. */
export interface YamlSettings {
  readonly entries: ReadonlyMap<string, YamlEntry>;
  readonly problems: readonly string[];
}

const longestFileBytes = 1024 * 1024;
const deepestLevel = 8;

/** Reads the file; mistakes in its syntax or shape are `problems` with line and column, never thrown. */
export const readYamlSettings = (file: string): YamlSettings => {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return { entries: new Map(), problems: [`SWITCHYARD_CONFIG: ${file} cannot be read: ${(error as Error).message}`] };
  }
  if (text.length > longestFileBytes) {
    return { entries: new Map(), problems: [`SWITCHYARD_CONFIG: ${file} is longer than 1 MiB`] };
  }
  return parseYamlSettings(text, file);
};

/** As `readYamlSettings`, for text that was read already; `file` is for messages. */
export const parseYamlSettings = (text: string, file: string): YamlSettings => {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number | undefined): string => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${file}:${String(line)}:${String(col)}`;
  };
  const problems = document.errors.map((error) => `${at(error.pos[0])}: ${error.message}`);
  const entries = new Map<string, YamlEntry>();
  if (problems.length > 0 || document.contents === null) return { entries, problems };

  const add = (path: readonly string[], place: string, raw: RawValue): void => {
    const env = `SWITCHYARD_${path.join('_')}`.toUpperCase().replaceAll('-', '_');
    const entry = { env, place: `${place} ${path.join('.')}`, path: path.join('.'), raw };
    const before = entries.get(env);
    if (before === undefined) entries.set(env, entry);
    else problems.push(`${entry.place} says the same setting as ${before.place}; keep one of them`);
  };

  const walk = (given: unknown, path: readonly string[], place: string): void => {
    const node = resolved(given, document);
    if (isMap(node) && path.length < deepestLevel) {
      for (const pair of node.items as Pair<Node>[]) {
        walk(pair.value, [...path, keyText(pair.key)], at(pair.key.range?.[0]));
      }
    } else if (isScalar(node)) {
      if (node.value !== null) add(path, place, scalarText(node));
    } else if (isSeq(node)) {
      const items = node.items.map((item) => resolved(item, document));
      if (items.every(isScalar)) add(path, place, items.map(scalarText));
      else problems.push(`${place} ${path.join('.')}: each item of a list must be a plain value`);
    } else if (node !== undefined && node !== null) {
      problems.push(`${place} ${path.join('.')}: nested too deeply`);
    }
  };

  if (isMap(document.contents)) walk(document.contents, [], at(0));
  else problems.push(`${at(0)}: the file must hold keys and values, such as "registry: { port: 4721 }"`);
  return { entries, problems };
};

const resolved = (node: unknown, document: Document): unknown => (isAlias(node) ? node.resolve(document) : node);

const keyText = (key: unknown): string => (isScalar(key) ? String(key.value) : '?');

/** As written: `007` and `1e3` stay what they are until the setting's own parser reads them. */
const scalarText = (node: { readonly value: unknown; readonly source?: string | undefined }): string =>
  typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
