// How does somebody without any library register and beat? `PUBLISH switchyard:register '{...}'`, `switchyard:heartbeat`.
//
// Pub/sub gives no answer, so what is refused is logged with its reasons; the sender repeats its registration anyway.
import { channels, decodeJson, heartbeatMessageSchema, registerMessageSchema } from '@switchyard/protocol';
import type { Refusal } from '@switchyard/protocol';
import { keepSubscribed } from '@switchyard/redis';
import type { Redis } from '@switchyard/redis';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import type { CatalogService } from './catalog-service.ts';

const MAX_MESSAGE_CHARS = 64 * 1024;
/** Messages in work at once; more are dropped and counted: their senders repeat themselves. */
const MAX_IN_WORK = 1_000;

/** Lines about messages that were not taken; a sender that repeats its nonsense must not fill a disk. */
const MAX_LINES = 100;
const LINES_EVERY_MS = 10_000;

/** Listens on both channels through `subscriber`, a connection of its own. */
export function createIntake(options: {
  readonly catalog: CatalogService;
  readonly subscriber: Redis;
  readonly clock: Clock;
  readonly logger: Logger;
}): Component {
  const { catalog, subscriber, clock, logger } = options;
  let inWork = 0;
  let lines = 0;
  let linesFromMs = clock.monotonicMs();
  const say = (facts: object, event: string): void => {
    if (clock.monotonicMs() - linesFromMs >= LINES_EVERY_MS) {
      if (lines > MAX_LINES) logger.warn({ lines: lines - MAX_LINES }, 'intake.unsaid');
      lines = 0;
      linesFromMs = clock.monotonicMs();
    }
    lines += 1;
    if (lines <= MAX_LINES) logger.warn(facts, event);
  };
  const refused = (channel: string, refusal: Refusal): void =>
    say({ channel, code: refusal.code, detail: refusal.detail, why: refusal.why }, 'intake.refused');
  const handle = async (channel: string, text: string): Promise<void> => {
    if (channel === channels.register) {
      const message = decodeJson(registerMessageSchema, text, 'the registration');
      if (!message.ok) return refused(channel, message.error);
      const { service, id, ...input } = message.value;
      const written = await catalog.register({ service, id }, input);
      return written.ok ? undefined : refused(channel, written.error);
    }
    const message = decodeJson(heartbeatMessageSchema, text, 'the heartbeat');
    if (!message.ok) return refused(channel, message.error);
    const heard = await catalog.heartbeat(message.value, message.value.load);
    return heard.ok ? undefined : refused(channel, heard.error);
  };
  const onMessage = (channel: string, text: string): void => {
    if (channel !== channels.register && channel !== channels.heartbeat) return;
    if (inWork >= MAX_IN_WORK || text.length > MAX_MESSAGE_CHARS) {
      say({ channel, chars: text.length, inWork }, 'intake.dropped');
      return;
    }
    inWork += 1;
    handle(channel, text)
      .catch((error: unknown) => say({ channel, err: error }, 'intake.failed'))
      .finally(() => (inWork -= 1));
  };
  let unsubscribe: (() => void) | undefined;
  return {
    name: 'intake',
    async start() {
      subscriber.on('message', onMessage);
      unsubscribe = keepSubscribed(subscriber, [channels.register, channels.heartbeat]);
    },
    async stop() {
      subscriber.off('message', onMessage);
      unsubscribe?.();
    },
  };
}
