// How does a service speak to operators? JSON lines on stdout: one event name (`msg`) plus fields, on change or failure only.
import { pino, stdSerializers, stdTimeFunctions } from 'pino';

/** A pino logger: `logger.info({ fields }, 'event.name')`. */
export type Logger = pino.Logger;

/** The levels that SWITCHYARD_LOG_LEVEL takes. error = a person must act, warn = degraded but self-healing, info = change. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
/** One of `logLevels`. */
export type LogLevel = (typeof logLevels)[number];

/** Where lines go and what each of them carries. */
export interface LoggerOptions {
  /** Read for SWITCHYARD_LOG_LEVEL; the process's own unless given. */
  readonly env?: NodeJS.ProcessEnv;
  /** Over the environment. */
  readonly level?: LogLevel;
  /** Fields of every line. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Takes each line, for tests; stdout unless given. */
  readonly destination?: { write(line: string): void };
}

/** A reader of stdout that stops reading must never stop a service: past this, lines are dropped. */
const longestBacklogBytes = 4 * 1024 * 1024;

const secretNames = ['password', 'token', 'secret', 'authorization', 'cookie', 'sentinelPassword'];

/** A logger for the service `name`. An unknown SWITCHYARD_LOG_LEVEL is reported in the log and counts as info. */
export const createLogger = (name: string, options: LoggerOptions = {}): Logger => {
  const asked = options.level ?? (options.env ?? process.env)['SWITCHYARD_LOG_LEVEL'] ?? '';
  const level = logLevels.find((known) => known === asked.toLowerCase());
  const settings: pino.LoggerOptions = {
    level: level ?? 'info',
    base: { service: name, ...options.fields },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: stdSerializers.err, error: stdSerializers.err },
    redact: { paths: secretNames.flatMap((secret) => [secret, `*.${secret}`, `*.*.${secret}`]), censor: '[redacted]' },
  };
  // Not synchronous: a full pipe would stop the event loop, and with it heartbeats. pino flushes at process exit.
  const logger = pino(
    settings,
    options.destination ?? pino.destination({ dest: 1, sync: false, maxLength: longestBacklogBytes }),
  );
  if (level === undefined && asked !== '') {
    logger.warn({ asked, known: logLevels }, 'log.level_unknown');
  }
  return logger;
};
