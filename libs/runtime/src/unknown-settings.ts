// Which settings were given that nobody reads? Finds typing mistakes without refusing what belongs to other services.
import { nearestName } from './nearest-name.ts';
import type { Setting } from './setting.ts';
import type { YamlEntry } from './yaml-settings.ts';

/** Variables of the whole yard that live under the name of one app, or of none, but are read by several. */
const sharedVariables: readonly string[] = [
  'SWITCHYARD_HOST',
  'SWITCHYARD_ADVERTISE_HOST',
  'SWITCHYARD_REGISTRY_PORT',
  'SWITCHYARD_REGISTRY_URL',
  'SWITCHYARD_MONITOR_PORT',
  'SWITCHYARD_DISPATCHER_PORT',
  'SWITCHYARD_DISPATCHER_TRAFFIC_PORT',
  'SWITCHYARD_DISPATCHER_CONTROL_PORT',
  'SWITCHYARD_REPLICATION_PORT',
  'SWITCHYARD_BACKUP_PORT',
  'SWITCHYARD_BACKUP_REPOSITORY',
  'SWITCHYARD_DEMO_PORT',
  'SWITCHYARD_REDIS_URL',
  'SWITCHYARD_REDIS_SENTINELS',
  'SWITCHYARD_REDIS_GROUP',
  'SWITCHYARD_INSTANCE_ID',
  'SWITCHYARD_LOG_LEVEL',
  'SWITCHYARD_STATE_DIR',
  'SWITCHYARD_SHUTDOWN_DELAY_MS',
  'SWITCHYARD_SHUTDOWN_GRACE_MS',
  'SWITCHYARD_TELEMETRY',
  'SWITCHYARD_CONFIG',
  'SWITCHYARD_VERSION',
];
/** Sections of the file that belong to services which this process is not. */
const appSections: readonly string[] = [
  'REGISTRY',
  'MONITOR',
  'DISPATCHER',
  'REPLICATION',
  'BACKUP',
  'DEMO',
  'REDIS',
  'CLI',
];

/**
 * Problems: entries of the file in a section of which this service reads settings, and sections that are near to a known
 * one. Entries of other services' sections are theirs to check. Warnings: variables of this app that are near to a known one
 * (only near: the environment is shared with other tools).
 */
export const unknownEntries = (given: {
  readonly settings: readonly Setting<unknown>[];
  readonly entries: readonly YamlEntry[];
  readonly env: NodeJS.ProcessEnv;
  readonly app: string;
}): { readonly problems: readonly string[]; readonly warnings: readonly string[] } => {
  const own = given.settings.flatMap((one) => (one.secret ? [one.env, `${one.env}_FILE`] : [one.env]));
  const known = new Set([...own, ...sharedVariables]);
  const ownSections = new Set([given.app.toUpperCase(), ...own.map(sectionOf)]);
  const sections = new Set([...ownSections, ...appSections, ...sharedVariables.map(sectionOf)]);

  const problems: string[] = [];
  for (const entry of given.entries) {
    if (known.has(entry.env)) continue;
    const section = sectionOf(entry.env);
    if (ownSections.has(section)) {
      const near = nearestName(entry.env, known);
      problems.push(
        `${entry.place}: there is no such setting${near === undefined ? '' : ` - did you mean ${near}, ${keyOf(near)} here?`}`,
      );
    } else if (!sections.has(section)) {
      const near = nearestName(section, sections);
      if (near !== undefined)
        problems.push(`${entry.place}: there is no such section - did you mean "${near.toLowerCase()}"?`);
    }
  }

  const warnings: string[] = [];
  const appPrefix = `SWITCHYARD_${given.app.toUpperCase()}_`;
  for (const variable of Object.keys(given.env)) {
    if (!variable.startsWith(appPrefix) || known.has(variable)) continue;
    const near = nearestName(variable, own);
    if (near !== undefined) warnings.push(`${variable} is read by nobody - did you mean ${near}?`);
  }
  return { problems, warnings };
};

const sectionOf = (variable: string): string => variable.split('_')[1] ?? '';

/** The variable as a key of the file: "registry.port". */
const keyOf = (variable: string): string => {
  const [, section = '', ...rest] = variable.toLowerCase().split('_');
  return rest.length === 0 ? section : `"${section}: { ${rest.join('_')}: ... }"`;
};
