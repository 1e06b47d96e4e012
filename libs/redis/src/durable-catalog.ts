// How does the catalog answer only when replicas have it? Its commits go through a durable writer; everything else is as it was.
import type { CatalogStore } from '@switchyard/catalog';
import { createCatalogStore } from './catalog-store.ts';
import { confirmed } from './durability.ts';
import type { DurableWriter } from './durability.ts';

/** A catalog whose commits are as safe as the writer says. */
export interface DurableCatalog {
  /** `commit` throws an UnconfirmedError when it is not known to be so safe; the commit may be there then. */
  readonly store: CatalogStore;
  /** Resolves when everything that was written until now is as safe; throws an UnconfirmedError. */
  readonly confirm: () => Promise<void>;
}

/** `source` names this process in the events it writes. */
export const createDurableCatalog = (
  store: CatalogStore,
  { writer, source }: { readonly writer: DurableWriter; readonly source: string },
): DurableCatalog => ({
  store: {
    ...store,
    commit: async (commit, fence) =>
      confirmed(await writer.run((redis) => createCatalogStore(redis, source).commit(commit, fence))),
  },
  // WAIT counts from the place in the stream at which the connection's last command found it, whoever wrote it
  confirm: async () => void confirmed(await writer.run((redis) => redis.ping())),
});
