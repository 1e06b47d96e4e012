// What does one group among many say in the health? One check under its own name, however many parts it has.
import type { Check, Health } from '@switchyard/runtime';

const mostNamed = 5;

/** A health for one group: its checks become `redis group <name>`, never critical, and cannot clash with another group's. */
export const groupHealth = (health: Health, group: string): Health & { forget(): void } => {
  const name = `redis group ${group}`;
  const checks = new Map<string, Check>();
  const show = (): void => {
    const failing = [...checks].filter(([, { ok }]) => !ok);
    const own = checks.get(name)?.detail;
    const detail = failing.length === 0 ? own : failing.slice(0, mostNamed).map(described).join('; ');
    health.set(name, { ok: failing.length === 0, critical: false, ...(detail === undefined ? {} : { detail }) });
  };
  const described = ([check, { detail }]: readonly [string, Check]): string =>
    check === name ? (detail ?? 'not ok') : `${check}: ${detail ?? 'not ok'}`;
  return {
    ...health,
    set(check, state) {
      checks.set(check, state);
      show();
    },
    remove(check) {
      checks.delete(check);
      show();
    },
    forget() {
      checks.clear();
      health.remove(name);
    },
  };
};
