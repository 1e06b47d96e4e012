// With which settings does a service run? Environment over YAML file over defaults; every mistake is told at once.
//
// YAML mirrors the environment: the keys on the way to a value, joined by "_" and in capitals, after SWITCHYARD_. So
// `registry: { port: 4721 }`, `registry_port: 4721` and `SWITCHYARD_REGISTRY_PORT=4721` are the same setting. "-" counts as "_".
import { readFileSync } from 'node:fs';
import type { Logger } from './logger.ts';
import { nearestName } from './nearest-name.ts';
import type { RawValue, Setting } from './setting.ts';
import { unknownEntries } from './unknown-settings.ts';
import type { YamlEntry } from './yaml-settings.ts';
import { readYamlSettings } from './yaml-settings.ts';

/** Settings by field name; a group may be a part that a library exports, such as `redisSettings`. */
export interface AnyConfigSchema {
  readonly [field: string]: Setting<unknown> | AnyConfigSchema;
}

/** The schema of a known config type, for declarations that want to be checked against it. */
export type ConfigSchema<T> = {
  readonly [K in keyof T]-?: Setting<T[K]> | (T[K] extends object ? ConfigSchema<T[K]> : never);
};

/** The config that a schema yields. */
export type ConfigOf<S> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : ConfigOf<S[K]> };

/** The settings cannot be used; each problem is one sentence with its place and what would be right. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'invalid_config';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the settings cannot be used:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/** Where settings come from and what is checked across them. */
export interface LoadOptions<C> {
  readonly env: NodeJS.ProcessEnv;
  /** REGISTRY, MONITOR, DISPATCHER, REPLICATION, BACKUP, DEMO (any case): whose settings these are. */
  readonly app: string;
  /** Gets a warning for each variable SWITCHYARD_<APP>_... that nobody knows but that is near to a known one. */
  readonly logger?: Logger;
  /** Checks across fields, one sentence for each problem; only called when every single field is right. */
  readonly check?: (config: C) => readonly string[];
}

const longestSecretBytes = 64 * 1024;

/**
 * Reads all settings of `schema`. An empty variable counts as unset. Throws a ConfigError that lists every problem: values that
 * do not parse, required ones that are missing, mistakes in the file SWITCHYARD_CONFIG with line and suggestion.
 */
export const loadConfig = <const S extends AnyConfigSchema>(
  schema: S,
  options: LoadOptions<ConfigOf<S>>,
): ConfigOf<S> => {
  const { env } = options;
  const problems: string[] = [];
  const path = env['SWITCHYARD_CONFIG'];
  const yaml = path === undefined || path === '' ? undefined : readYamlSettings(path);
  problems.push(...(yaml?.problems ?? []));
  const settings = settingsOf(schema);
  const unknown = unknownEntries({ settings, entries: [...(yaml?.entries.values() ?? [])], env, app: options.app });
  problems.push(...unknown.problems);
  for (const warning of unknown.warnings) options.logger?.warn({ problem: warning }, 'config.unknown_variable');

  const config = readGroup(schema, (one) => readSetting(one, env, yaml?.entries.get(one.env), problems)) as ConfigOf<S>;
  if (problems.length === 0) problems.push(...(options.check?.(config) ?? []));
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
};

/** One setting with its value, for `config show`: secrets and passwords in URLs are "[redacted]". */
export interface ShownSetting {
  readonly env: string;
  readonly value: unknown;
  readonly setting: Setting<unknown>;
}

/** The settings of a loaded config in the order of the schema, safe to print. */
export const showConfig = <S extends AnyConfigSchema>(schema: S, config: ConfigOf<S>): readonly ShownSetting[] =>
  Object.entries(schema).flatMap(([field, part]) => {
    const value = (config as Readonly<Record<string, unknown>>)[field];
    return isSetting(part)
      ? [{ env: part.env, value: redact(part, value), setting: part }]
      : showConfig(part, value as ConfigOf<typeof part>);
  });

/** All settings of a schema, for generated documentation. */
export const settingsOf = (schema: AnyConfigSchema): readonly Setting<unknown>[] =>
  Object.values(schema).flatMap((part) => (isSetting(part) ? [part] : settingsOf(part)));

const isSetting = (part: Setting<unknown> | AnyConfigSchema): part is Setting<unknown> =>
  typeof part['parse'] === 'function';

const readGroup = (schema: AnyConfigSchema, read: (setting: Setting<unknown>) => unknown): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(schema).map(([field, part]) => [field, isSetting(part) ? read(part) : readGroup(part, read)]),
  );

const readSetting = (
  one: Setting<unknown>,
  env: NodeJS.ProcessEnv,
  entry: YamlEntry | undefined,
  problems: string[],
): unknown => {
  const found =
    fromEnvironment(one, env, problems) ?? (entry && { raw: entry.raw, place: `${entry.place} (${one.env})` });
  if (found === undefined) {
    if (one.default === undefined && !one.optional && env[`${one.env}_FILE`] === undefined) {
      problems.push(`${one.env} is required: ${one.doc} (${one.expected})`);
    }
    return one.default;
  }
  const parsed = one.parse(found.raw);
  if (parsed.ok) return parsed.value;
  const given = one.secret ? 'the value' : JSON.stringify(found.raw);
  const near = one.kind === 'choice' && typeof found.raw === 'string' ? suggestChoice(one, found.raw) : '';
  problems.push(`${found.place}: ${given} is not ${parsed.expected}${near}`);
  return undefined;
};

const suggestChoice = (one: Setting<unknown>, raw: string): string => {
  const near = nearestName(raw, one.expected.replace('one of ', '').split(', '));
  return near === undefined ? '' : ` - did you mean "${near}"?`;
};

const fromEnvironment = (
  one: Setting<unknown>,
  env: NodeJS.ProcessEnv,
  problems: string[],
): { readonly raw: RawValue; readonly place: string } | undefined => {
  const direct = env[one.env];
  const fileVariable = `${one.env}_FILE`;
  const file = one.secret ? env[fileVariable] : undefined;
  const hasDirect = direct !== undefined && direct !== '';
  if (file === undefined || file === '') return hasDirect ? { raw: direct, place: one.env } : undefined;
  if (hasDirect) {
    problems.push(`${one.env} and ${fileVariable} are both set; keep one of them`);
    return undefined;
  }
  try {
    const content = readFileSync(file, 'utf8');
    if (Buffer.byteLength(content) > longestSecretBytes) throw new Error('it is longer than 64 KiB');
    return { raw: content.replace(/\r?\n$/, ''), place: fileVariable };
  } catch (error) {
    problems.push(`${fileVariable}: ${file} cannot be read: ${(error as Error).message}`);
    return undefined;
  }
};

const redact = (one: Setting<unknown>, value: unknown): unknown => {
  if (value === undefined) return value;
  if (one.secret) return '[redacted]';
  return typeof value === 'string' ? value.replace(/(\/\/[^/@\s:]*):[^@/\s]*@/, '$1:[redacted]@') : value;
};
