// Which backups does somebody want to keep whatever the rules say? One object for each, so that the repository alone knows.
import { backupLabelSchema } from '@switchyard/protocol';
import { layout } from '@switchyard/backup';
import type { ObjectStore } from './object-store.ts';

/** The pins in a repository. */
export interface Pins {
  /** Labels that are pinned. */
  of(group: string, signal: AbortSignal): Promise<ReadonlySet<string>>;
  /** Without effect when it is pinned already, but for the reason. */
  pin(place: { readonly group: string; readonly label: string }, pin: Pin, signal: AbortSignal): Promise<void>;
  /** Without effect when it is not pinned. */
  unpin(place: { readonly group: string; readonly label: string }, signal: AbortSignal): Promise<void>;
}

/** Why, and since when. */
export interface Pin {
  readonly atMs: number;
  readonly reason?: string;
}

/** Pins in `store`. */
export function createPins(store: ObjectStore): Pins {
  return {
    of: async (group, signal) => {
      const labels = new Set<string>();
      const prefix = layout.pins(group);
      for await (const { name } of store.list(prefix, signal)) {
        const label = name.slice(prefix.length).replace(/\.json$/, '');
        if (backupLabelSchema.safeParse(label).success) labels.add(label);
      }
      return labels;
    },
    pin: ({ group, label }, pin, signal) =>
      store.put(layout.pin(group, label), Buffer.from(`${JSON.stringify({ label, ...pin })}\n`), { signal }),
    unpin: ({ group, label }, signal) => store.remove(layout.pin(group, label), signal),
  };
}
