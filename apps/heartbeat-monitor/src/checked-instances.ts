// Whose check is made all the time, and what makes a result be about somebody else?
import type { CatalogView } from '@switchyard/catalog';
import { checkPlanOf } from '@switchyard/failure-detection';
import type { Checked } from '@switchyard/failure-detection';
import { memberOf } from '@switchyard/protocol';
import type { Instance } from '@switchyard/protocol';

/** Changes with the process, the address, the check, and with its death. */
export const versionOf = ({ incarnation, url, check, liveness }: Instance): string =>
  JSON.stringify([incarnation, url, check, liveness === 'dead']);

/** An open port is no application: the kernel accepts for a process that hangs, and another process may have taken it. */
const speaks = ({ check }: Instance): boolean => check?.type === 'http' || check?.type === 'grpc';

/** Another one of its service lives at its address: a process that was started anew under a name of its own, for one. */
export function hasHeir(view: CatalogView, instance: Instance): boolean {
  for (const { id, url, liveness } of view.instancesOf(instance.service)) {
    if (url === instance.url && id !== instance.id && liveness !== 'dead') return true;
  }
  return false;
}

/** Everybody whose check is made all the time; also the dead, as long as they are on record, that an answer would bring back. */
export function* checkedIn(view: CatalogView): Generator<{ readonly checked: Checked; readonly instance: Instance }> {
  for (const instance of view.all()) {
    const plan = instance.check?.interval === undefined ? undefined : checkPlanOf(instance.check);
    if (plan === undefined || (instance.liveness === 'dead' && !speaks(instance))) continue;
    // the first answer has to come before the deadline of somebody who does not beat by itself
    const firstWithinMs = Math.min(plan.intervalMs, instance.ttlMs / 4);
    const urgent = instance.liveness === 'suspect' && instance.suspectedBy !== 'check';
    const member = memberOf(instance.service, instance.id);
    yield { checked: { member, version: versionOf(instance), plan, firstWithinMs, urgent }, instance };
  }
}
