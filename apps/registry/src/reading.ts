// How does a reader learn how fresh its answer is? Every answer from the view says where the catalog stood, and its age.
import { refuse } from '@switchyard/protocol';
import type { Refusal } from '@switchyard/protocol';
import type { CatalogFeed } from '@switchyard/redis';
import type { CatalogView } from '@switchyard/catalog';
import type { PlainReply } from '@switchyard/http';

/** Older than this, an answer says so: the feed polls twice a second. */
const STALE_AFTER_MS = 2_000;

/** Answers from the view; 503 until the first snapshot was read. With Redis gone it answers on, and says how old it is. */
export function answerFrom(feed: CatalogFeed, read: (view: CatalogView) => PlainReply | Refusal): PlainReply | Refusal {
  const { loaded, ageMs, epoch, revision } = feed.status();
  if (!loaded) {
    return refuse('not_ready', 'the catalog has not been read yet', { why: ['waiting for Redis'] }).error;
  }
  const reply = read(feed.view);
  if (!('status' in reply)) return reply;
  const stale = ageMs > STALE_AFTER_MS ? { 'switchyard-stale-ms': String(Math.round(ageMs)) } : {};
  const position = { 'switchyard-epoch': String(epoch), 'switchyard-revision': String(revision) };
  return { ...reply, headers: { ...position, ...stale, ...reply.headers } };
}
