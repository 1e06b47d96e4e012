// How do the tests of this library record a real history, and serve it again?
import { Readable } from 'node:stream';
import { eventually, type TestRedis } from '@switchyard/testing';
import { followStream, type FollowStreamOptions } from './follow-stream.ts';
import type { FollowedStream, ServedHistory } from './replication-stream.ts';

/** A history as it was received: a data set and every byte after it. */
export interface Recording {
  readonly replicationId: string;
  readonly offset: number;
  readonly rdb: Buffer;
  /** What has arrived of the stream. */
  bytes(): Buffer;
  readonly followed: FollowedStream;
  /** How it ended; pending while it goes on. */
  readonly ended: Promise<unknown>;
}

/** Follows a node from its data set on and keeps everything. */
export async function record(options: Omit<FollowStreamOptions, 'signal'>): Promise<Recording> {
  const followed = await followStream({ signal: AbortSignal.timeout(120_000), ...options });
  const { start } = followed;
  const rdb = start.kind === 'full' ? Buffer.concat((await start.rdb.toArray()) as Buffer[]) : Buffer.alloc(0);
  const chunks: Buffer[] = [];
  const take = async (): Promise<unknown> => {
    try {
      for await (const chunk of followed.bytes()) {
        chunks.push(chunk);
        followed.acknowledge(followed.receivedOffset());
      }
      return undefined;
    } catch (error) {
      return error;
    }
  };
  return {
    replicationId: start.replicationId,
    offset: start.offset,
    rdb,
    followed,
    bytes: () => Buffer.concat(chunks),
    ended: take(),
  };
}

/** A history that is held in memory. */
export function heldHistory(held: {
  readonly replicationId: string;
  readonly offset: number;
  readonly rdb: Buffer;
  readonly stream?: Buffer;
}): ServedHistory {
  const { replicationId, offset, rdb, stream } = held;
  const base = { replicationId, offset, end: offset + (stream?.length ?? 0) };
  const dataSet = (): { stream: Readable; bytes: number } => ({ stream: readableOf(rdb), bytes: rdb.length });
  if (stream === undefined) return { ...base, rdb: dataSet };
  return {
    ...base,
    rdb: dataSet,
    after: async function* after(from) {
      yield* piecesOf(stream.subarray(from - offset));
    },
  };
}

/** Reads a node's own offset. */
export async function offsetOf(node: TestRedis): Promise<number> {
  return Number(await node.info('replication', 'master_repl_offset'));
}

/** Waits until a replica's link to its source is up. */
export async function linkUp(replica: TestRedis): Promise<void> {
  await eventually(async () => (await replica.info('replication', 'master_link_status')) === 'up', {
    timeoutMs: 30_000,
    what: `The link of ${replica.port} to its source`,
  });
}

function readableOf(bytes: Buffer): Readable {
  return Readable.from(piecesOf(bytes), { objectMode: false });
}

function* piecesOf(bytes: Buffer): Generator<Buffer> {
  for (let from = 0; from < bytes.length; from += 16_384) yield bytes.subarray(from, from + 16_384);
}
