// What about settings that could not be put back because their node was away? They are put back when it answers again; the bound to
// replicas only when there are as many.
import type { RollbackSetting } from '@switchyard/backup';
import type { Clock, Logger } from '@switchyard/runtime';
import { createGroupContacts, nameOf } from './group-contacts.ts';
import type { RollbackJournal, RollbackRecord } from './rollback-journal.ts';
import type { RollableSettings } from './rollback-tools.ts';

/** Puts back what is left of rollbacks that have ended. */
export interface Leftovers {
  /** One try; what is still left stays in the journal. Rejects with an ObjectStoreError. */
  mend(records: readonly RollbackRecord[], signal: AbortSignal): Promise<void>;
}

/** After so long nobody waits for it any more: the node is gone, or was set up anew. */
const givenUpAfterMs = 24 * 3_600_000;

/** For the group of `settings`. */
export function createLeftovers(options: {
  readonly journal: RollbackJournal;
  readonly settings: RollableSettings;
  readonly clock: Clock;
  readonly logger: Logger;
}): Leftovers {
  const { journal, settings, clock, logger } = options;
  const { group } = settings;
  return {
    mend: async (records, signal) => {
      for (const record of records) {
        if (record.left.length === 0 || record.state.waitsFor !== 'ended') continue;
        const contacts = createGroupContacts(settings);
        const isOld = clock.unixMs() - record.writtenAtMs > givenUpAfterMs;
        try {
          const tried = await Promise.all(record.left.map((one) => putBack(one)));
          const left = isOld ? [] : record.left.filter((_, at) => tried[at] === false);
          if (left.length === record.left.length) continue;
          logger.info(
            { group, operation: record.id, left: left.map(({ at, name }) => `${name} of ${nameOf(at)}`) },
            'rollback.settings_put_back',
          );
          await journal.write({ ...record, left }, signal);
        } finally {
          contacts.close();
        }

        async function putBack({ at, kind, name, before }: RollbackSetting): Promise<boolean> {
          try {
            if (kind === 'sentinel') await contacts.sentinel(at, ['SENTINEL', 'SET', group, name, before]);
            else {
              const binds = name === 'min-replicas-to-write';
              const info = binds ? String(await contacts.node(at, ['INFO', 'replication'])) : '';
              const there = Number(/^connected_slaves:(\d+)/m.exec(info)?.[1] ?? 0);
              if (binds && /^role:master/m.test(info) && there < Number(before)) return false;
              await contacts.node(at, ['CONFIG', 'SET', name, before]);
            }
            return true;
          } catch {
            return false;
          }
        }
      }
    },
  };
}
