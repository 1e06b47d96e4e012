// How is the data set kept that a timeline begins with? Stored as it arrives; proven while the stream behind it is archived already.
import { Readable } from 'node:stream';
import { rdbHeadBytes, readRdbHead } from '@switchyard/backup';
import type { Component, Logger } from '@switchyard/runtime';
import type { BaseStore, DraftedBase } from '../backups/store-base.ts';
import type { StoreFirst } from './archiver.ts';

/** Stores first data sets; `stop` gives up proofs that are under way, which leaves no trace of their data sets. */
export interface FirstBase extends Component {
  readonly store: StoreFirst;
  /** Whether one is being proven: the timeline has no base yet, and none has to be asked for. */
  isProving(): boolean;
}

/** Stores first data sets through `bases`. `onPublished` hears of each that became a backup. */
export function createFirstBase(options: {
  readonly group: string;
  readonly bases: BaseStore;
  readonly logger: Logger;
  readonly onPublished: (label: string) => void;
}): FirstBase {
  const { group, bases, logger, onPublished } = options;
  const stopping = new AbortController();
  const proofs = new Set<Promise<void>>();

  const prove = async (drafted: DraftedBase, timeline: string): Promise<void> => {
    try {
      const { signal } = stopping;
      const published = await drafted.publish({ signal, timeline: () => Promise.resolve(timeline) });
      if (!published.ok) throw new Error([published.error.detail, ...(published.error.why ?? [])].join(' '));
      const { label } = published.value.manifest;
      logger.info({ group, timeline, label }, 'archive.base');
      onPublished(label);
    } catch (error) {
      // The next backup that is due, or the one that the archive asks for, takes its place.
      logger.error({ group, timeline, err: error }, 'archive.base_failed');
    }
  };

  return {
    name: 'archive-bases',
    stopDeadlineMs: 20_000,
    stop: async () => {
      stopping.abort(new Error('the worker stops'));
      await Promise.all(proofs);
    },
    isProving: () => proofs.size > 0,
    store: async ({ link, start, source }, signal) => {
      if (link.start.kind !== 'full') throw new Error(`${source.name} sent no data set.`);
      const head: Buffer[] = [];
      const rdb = Readable.from(tapped(link.start.rdb, head), { objectMode: false });
      const { replicationId, offset } = start;
      const drafted = await bases.draft({ group, source, replicationId, offset, rdb }, { signal });
      return {
        database: selectedDatabase(Buffer.concat(head)),
        publish: (timeline) => {
          const proof = prove(drafted, timeline).finally(() => proofs.delete(proof));
          proofs.add(proof);
        },
        discard: () => drafted.discard(),
      };
    },
  };
}

async function* tapped(rdb: Readable, head: Buffer[]): AsyncGenerator<Buffer> {
  let kept = 0;
  for await (const chunk of rdb as AsyncIterable<Buffer>) {
    if (kept < rdbHeadBytes) head.push(Buffer.from(chunk.subarray(0, rdbHeadBytes - kept)));
    kept += chunk.length;
    yield chunk;
  }
}

// The stream of a replica goes on in the middle of its primary's: which database is selected there, only the data set says.
function selectedDatabase(head: Buffer): number {
  const database = Number(readRdbHead(head)?.fields['repl-stream-db'] ?? 0);
  return Number.isSafeInteger(database) && database >= 0 ? database : 0;
}
