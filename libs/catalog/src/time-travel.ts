// What was in the catalog at an earlier moment? The present one, with every change since then taken back, newest first. Each change
// carries how to: a merge patch to what was there before.
import { splitMember } from '@switchyard/protocol';
import type { Instance, ServicePolicy, TrafficRoute } from '@switchyard/protocol';
import type { Commit, DocumentKind } from './commit.ts';
import { applyMergePatch, mergePatch } from './merge-patch.ts';
import type { JsonObject } from './merge-patch.ts';
import type { Versioned } from './setting-transitions.ts';
import type { CatalogSnapshot } from './view.ts';

/** How to take one written document back. Revision 0: there was none. */
export interface UndoStep {
  readonly kind: DocumentKind;
  readonly key: string;
  readonly revision: number;
  /** from what was written (nothing, when it was removed) to what was there before */
  readonly patch?: JsonObject;
}

/** A change as the past needs it. */
export interface PastChange {
  readonly epoch: number;
  readonly revision: number;
  /** Unix ms, Redis's clock */
  readonly timeMs: number;
  /** undefined: it cannot be taken back, because the catalog began anew or an earlier version wrote it */
  readonly undo: readonly UndoStep[] | undefined;
}

/** The steps that take `commit` back; undefined when it does not say what was there before. */
export function undoOf(commit: Commit): UndoStep[] | undefined {
  const steps: UndoStep[] = [];
  for (const { kind, key, document, before } of commit.writes) {
    const expected = commit.expect.find((each) => each.kind === kind && each.key === key)?.revision;
    if (expected === 0) steps.push({ kind, key, revision: 0 });
    else if (expected === undefined || before === undefined) return undefined;
    else steps.push({ kind, key, revision: expected, patch: mergePatch(document ?? {}, before) });
  }
  return steps;
}

/** Goes back from one snapshot. */
export interface Walk {
  /** Takes the newest change that is not taken back yet back; false when `change` is not that one, or cannot be taken back. */
  back(change: PastChange): boolean;
  /** The catalog as it was before all changes that were taken back. */
  snapshot(): CatalogSnapshot;
}

/** A walk that begins at `start`, which stays as it is. */
export function walkBack(start: CatalogSnapshot): Walk {
  const instances = new Map(start.instances.map((each) => [`${each.service}/${each.id}`, each]));
  const services = new Map(Object.entries(start.services));
  const routes = new Map(Object.entries(start.routes));
  const { epoch } = start;
  let { revision } = start;

  const settingBefore = <T extends object>(documents: Map<string, Versioned<T>>, step: UndoStep): void => {
    if (step.revision === 0) documents.delete(step.key);
    else {
      const document = applyMergePatch(documents.get(step.key)?.document ?? {}, step.patch ?? {}) as T;
      documents.set(step.key, { document, revision: step.revision });
    }
  };
  const takeBack = (step: UndoStep): void => {
    if (step.kind === 'service') return settingBefore<ServicePolicy>(services, step);
    if (step.kind === 'route') return settingBefore<TrafficRoute>(routes, step);
    if (step.revision === 0) {
      instances.delete(step.key);
      return;
    }
    const { revision: _now, ...stored } = instances.get(step.key) ?? { revision: 0 };
    const before = applyMergePatch(stored, step.patch ?? {}) as unknown as Instance;
    instances.set(step.key, { ...before, ...splitMember(step.key), revision: step.revision });
  };

  return {
    back(change) {
      if (change.undo === undefined || change.revision !== revision || change.epoch !== epoch) return false;
      for (const step of change.undo.toReversed()) takeBack(step);
      revision = change.revision - 1;
      return true;
    },
    snapshot: () => ({
      epoch,
      revision,
      instances: [...instances.values()],
      services: Object.fromEntries(services),
      routes: Object.fromEntries(routes),
    }),
  };
}
