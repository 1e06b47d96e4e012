// May this process take work, and if not, why? Answers /readyz; /livez never asks here for dependencies.
import type { Clock } from './clock.ts';
import type { Logger } from './logger.ts';

/** The life of a service; see run-service.ts for the picture. */
export type Phase = 'INITIALIZED' | 'STARTING' | 'RUNNING' | 'DRAINING' | 'STOPPED' | 'FAILED';

/** What one part says about itself. */
export interface Check {
  readonly ok: boolean;
  /** For people: what is wrong or which state it is in. */
  readonly detail?: string;
  /** False: shown as degraded, but the service stays ready (a dispatcher without Redis keeps its table). Default true. */
  readonly critical?: boolean;
}

/** All checks at one moment. */
export interface HealthReport {
  /** The service is RUNNING and no critical check fails. */
  readonly ready: boolean;
  readonly phase: Phase;
  readonly checks: Readonly<Record<string, Check & { readonly sinceUnixMs: number }>>;
  /** One sentence for each reason why it is not ready; empty when ready. */
  readonly why: readonly string[];
}

/** The health of one service. */
export interface Health {
  /** Sets the check `name`; a change of `ok` is logged once. At most `maxChecks` names. */
  set(name: string, check: Check): void;
  /** Forgets the check `name`. */
  remove(name: string): void;
  /** Moves the service to another phase of its life; only run-service does this. */
  setPhase(phase: Phase): void;
  report(): HealthReport;
}

/** More names than this are a defect (names made from data), so `set` throws. */
const maxChecks = 64;

/** Health that starts INITIALIZED and without checks. */
export const createHealth = (options: { readonly clock: Clock; readonly logger?: Logger }): Health => {
  const { clock, logger } = options;
  const checks = new Map<string, Check & { readonly sinceUnixMs: number }>();
  let phase: Phase = 'INITIALIZED';
  return {
    set: (name, check) => {
      const before = checks.get(name);
      if (before === undefined && checks.size >= maxChecks) {
        throw new Error(`more than ${String(maxChecks)} health checks; "${name}" is refused`);
      }
      const changed = before === undefined || before.ok !== check.ok;
      checks.set(name, { ...check, sinceUnixMs: changed ? clock.unixMs() : before.sinceUnixMs });
      if (!changed || (before === undefined && check.ok)) return;
      if (check.ok) logger?.info({ check: name, detail: check.detail }, 'health.recovered');
      else logger?.warn({ check: name, detail: check.detail }, 'health.failed');
    },
    remove: (name) => {
      checks.delete(name);
    },
    setPhase: (next) => {
      phase = next;
    },
    report: () => {
      const why = [...checks]
        .filter(([, check]) => !check.ok && check.critical !== false)
        .map(([name, check]) => `${name}: ${check.detail ?? 'not ok'}`);
      if (phase !== 'RUNNING') why.unshift(`the service is ${phase}`);
      return { ready: why.length === 0, phase, checks: Object.fromEntries(checks), why };
    },
  };
};
