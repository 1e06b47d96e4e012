// How does a subscription outlive its connection? It is made anew at every connection, by hand.
//
// What ioredis does by itself is turned off everywhere: it loses subscriptions that were not confirmed when the connection
// went, and leaves a rejection unhandled, which ends the process, when the connection goes while it makes them anew.
import type { Redis } from 'ioredis';

/** Hears `channels` on a connection of its own: now, and again after every reconnect. Returns what ends it. */
export function keepSubscribed(
  subscriber: Redis,
  channels: readonly string[],
  by: 'subscribe' | 'psubscribe' = 'subscribe',
): () => void {
  const subscribe = (): void => {
    subscriber[by](...channels).catch((error: unknown) => {
      // a lost connection is made up for by the next one; a refusal (ACL) is for people to see
      if (subscriber.status === 'ready') subscriber.emit('error', error);
    });
  };
  subscriber.on('ready', subscribe);
  if (subscriber.status === 'ready') subscribe();
  return () => subscriber.off('ready', subscribe);
}
