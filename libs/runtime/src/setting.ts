// What is one setting: its name, kind, default, range and meaning? Declared once in config.ts of an app or library.
import { parseDurationMs } from '@switchyard/protocol';

/** Text from the environment, or from YAML, where a list may be a sequence. */
export type RawValue = string | readonly string[];

/** The outcome of reading a raw value; `expected` completes the sentence "... is not <expected>". */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly expected: string };

/** One setting, ready to be read by `loadConfig`. */
export interface Setting<T> {
  readonly kind:
    'string' | 'integer' | 'number' | 'boolean' | 'durationMs' | 'bytes' | 'url' | 'list' | 'port' | 'choice';
  /** SWITCHYARD_<APP>_<NAME>_<UNIT>. */
  readonly env: string;
  /** What it decides, and what raising it buys and costs. */
  readonly doc: string;
  readonly default?: T;
  /** It may be left out, then it is undefined. Without `default` and `optional` it is required. */
  readonly optional: boolean;
  /** Never printed; may also come from the file named by <env>_FILE. */
  readonly secret: boolean;
  /** For people: "an integer from 1 to 10". */
  readonly expected: string;
  parse(raw: RawValue): Parsed<T>;
}

interface Common<T> {
  readonly env: string;
  readonly doc: string;
  readonly default?: T;
  readonly optional?: boolean;
  readonly secret?: boolean;
}
interface Range {
  readonly min?: number;
  readonly max?: number;
}
/** An optional setting without a default may be undefined. */
type Value<T, O> = O extends { readonly optional: true } ? T | undefined : T;

const textOf = (raw: RawValue): string => (typeof raw === 'string' ? raw.trim() : raw.join(','));

const make = <T>(
  kind: Setting<T>['kind'],
  options: Common<T>,
  expected: string,
  read: (raw: RawValue) => T | undefined,
): Setting<T> => ({
  kind,
  env: options.env,
  doc: options.doc,
  ...('default' in options && options.default !== undefined ? { default: options.default } : {}),
  optional: options.optional ?? false,
  secret: options.secret ?? false,
  expected,
  parse: (raw) => {
    const value = read(raw);
    return value === undefined ? { ok: false, expected } : { ok: true, value };
  },
});

const within = (range: Range, unit = ''): string => {
  const { min, max } = range;
  if (min !== undefined && max !== undefined) return ` from ${String(min)}${unit} to ${String(max)}${unit}`;
  if (min !== undefined) return ` of at least ${String(min)}${unit}`;
  return max === undefined ? '' : ` of at most ${String(max)}${unit}`;
};
const inRange = (value: number | undefined, { min = -Infinity, max = Infinity }: Range): number | undefined =>
  value !== undefined && value >= min && value <= max ? value : undefined;
const numberOf = (text: string, pattern: RegExp): number | undefined => (pattern.test(text) ? Number(text) : undefined);

const string = <const O extends Common<string> & { readonly pattern?: RegExp; readonly maxLength?: number }>(
  options: O,
): Setting<Value<string, O>> => {
  const { pattern, maxLength = 4096 } = options as O & { pattern?: RegExp; maxLength?: number };
  const shape = pattern ? ` that matches ${String(pattern)}` : '';
  return make<string>('string', options, `text of at most ${String(maxLength)} characters${shape}`, (raw) => {
    const text = textOf(raw);
    return text.length <= maxLength && (pattern === undefined || pattern.test(text)) ? text : undefined;
  });
};

const integer = <const O extends Common<number> & Range>(options: O): Setting<Value<number, O>> =>
  make<number>('integer', options, `an integer${within(options)}`, (raw) =>
    inRange(numberOf(textOf(raw), /^[+-]?\d{1,15}$/), options),
  );

const number = <const O extends Common<number> & Range>(options: O): Setting<Value<number, O>> =>
  make<number>('number', options, `a number${within(options)}`, (raw) =>
    inRange(numberOf(textOf(raw), /^[+-]?(\d{1,15}(\.\d*)?|\.\d+)$/), options),
  );

const port = <const O extends Common<number>>(options: O): Setting<Value<number, O>> => {
  const range = { min: 0, max: 65_535 };
  return make<number>('port', options, `a port${within(range)} (0 = any free one)`, (raw) =>
    inRange(numberOf(textOf(raw), /^\d{1,5}$/), range),
  );
};

const truth: Readonly<Record<string, boolean>> = {
  true: true,
  on: true,
  yes: true,
  1: true,
  false: false,
  off: false,
  no: false,
  0: false,
};
const boolean = <const O extends Common<boolean>>(options: O): Setting<Value<boolean, O>> =>
  make<boolean>('boolean', options, 'true or false', (raw) => {
    const word = textOf(raw).toLowerCase();
    return Object.hasOwn(truth, word) ? truth[word] : undefined;
  });

/** A plain number counts as ms, so that the unit in the name holds. */
const durationMs = <const O extends Common<number> & Range>(options: O): Setting<Value<number, O>> =>
  make<number>('durationMs', options, `a duration such as "3s" or "500ms"${within(options, ' ms')}`, (raw) => {
    const text = textOf(raw);
    return inRange(numberOf(text, /^\d{1,15}$/) ?? parseDurationMs(text), options);
  });

const byteUnits: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};
const bytes = <const O extends Common<number> & Range>(options: O): Setting<Value<number, O>> =>
  make<number>('bytes', options, `a size such as "64MiB" or a number of bytes${within(options)}`, (raw) => {
    const match = /^(\d{1,15}(?:\.\d{1,3})?)\s*([a-z]*)$/i.exec(textOf(raw));
    const factor = byteUnits[match?.[2]?.toLowerCase() || 'b'];
    return match && factor !== undefined ? inRange(Math.round(Number(match[1]) * factor), options) : undefined;
  });

/** An absolute URL as it was written; http and https unless `protocols` says more (with the colon: "redis:"). */
const url = <const O extends Common<string> & { readonly protocols?: readonly string[] }>(
  options: O,
): Setting<Value<string, O>> => {
  const protocols = options.protocols ?? ['http:', 'https:'];
  return make<string>('url', options, `a URL with ${protocols.join(' or ')}`, (raw) => {
    const text = textOf(raw);
    return URL.canParse(text) && protocols.includes(new URL(text).protocol) ? text : undefined;
  });
};

/** Items separated by commas, or a YAML sequence; empty items are dropped; at most `maxItems` (64). */
const list = <
  const O extends Common<readonly string[]> & {
    readonly maxItems?: number;
    readonly item?: RegExp;
    readonly itemName?: string;
  },
>(
  options: O,
): Setting<Value<readonly string[], O>> => {
  const {
    maxItems = 64,
    item,
    itemName = item ? `text that matches ${String(item)}` : 'text',
  } = options as {
    maxItems?: number;
    item?: RegExp;
    itemName?: string;
  };
  const expected = `a list of at most ${String(maxItems)} items, each ${itemName}`;
  return make<readonly string[]>('list', options, expected, (raw) => {
    const items = (typeof raw === 'string' ? raw.split(',') : raw).map((each) => each.trim()).filter(Boolean);
    return items.length <= maxItems && items.every((each) => item?.test(each) ?? true) ? items : undefined;
  });
};

/** One word of a closed set. */
const choice = <const C extends string, const O extends Omit<Common<NoInfer<C>>, never>>(
  options: O & { readonly choices: readonly C[]; readonly default?: NoInfer<C> },
): Setting<Value<C, O>> =>
  make<C>('choice', options, `one of ${options.choices.join(', ')}`, (raw) => {
    const word = textOf(raw).toLowerCase();
    return options.choices.find((known) => known.toLowerCase() === word);
  });

/** The kinds of settings. Each takes `{ env, doc, default?, optional?, secret? }` and its own limits. */
export const setting = { string, integer, number, boolean, durationMs, bytes, url, list, port, choice };
