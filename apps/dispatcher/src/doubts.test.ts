import { setImmediate as turn } from 'node:timers/promises';
import { channels, doubtSchema, type Doubt } from '@switchyard/protocol';
import { createMetrics } from '@switchyard/runtime';
import { manualClock } from '@switchyard/testing';
import { createDoubts } from './doubts.ts';

/** A Redis that keeps what is published, and answers when it is told to. */
function fakeRedis() {
  const sent: Doubt[] = [];
  const waiting: ((heard: number) => void)[] = [];
  const redis = {
    status: 'ready' as 'ready' | 'reconnecting',
    hangs: false,
    broken: false,
    publish(channel: string, text: string): Promise<number> {
      expect(channel).toBe(channels.doubt);
      sent.push(doubtSchema.parse(JSON.parse(text)));
      if (redis.broken) return Promise.reject(new Error('Connection is closed.'));
      return redis.hangs ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(1);
    },
  };
  return { redis, sent, answerAll: () => waiting.splice(0).forEach((answer) => answer(0)) };
}

describe('the doubts of a dispatcher', () => {
  const clock = manualClock();
  const start = () => {
    const { redis, ...rest } = fakeRedis();
    const metrics = createMetrics();
    const doubts = createDoubts({ redis, witness: 'd1', clock, metrics });
    const counted = async () => {
      await turn();
      const lines = (await metrics.text())
        .split('\n')
        .filter((line) => line.startsWith('switchyard_dispatcher_doubts'));
      return lines.map((line) => line.replace('switchyard_dispatcher_doubts_total', ''));
    };
    const observe = (id: string, outcome: Parameters<typeof doubts.observe>[0]['outcome'] = 'connect', reason = 'x') =>
      doubts.observe({ target: { service: 'shop', id }, outcome, reason });
    return { ...rest, redis, observe, counted };
  };

  it('say what was seen, and who saw it', () => {
    const { observe, sent } = start();

    observe('a', 'connect', 'it refuses connections');
    observe('b', 'timeout', 'no answer within 500 ms');
    observe('c', 'reset', 'r'.repeat(1_000));

    expect(sent).toEqual([
      { service: 'shop', id: 'a', because: 'connect-failed', detail: 'it refuses connections', witness: 'd1' },
      { service: 'shop', id: 'b', because: 'request-timeout', detail: 'no answer within 500 ms', witness: 'd1' },
      { service: 'shop', id: 'c', because: 'connection-closed', detail: 'r'.repeat(256), witness: 'd1' },
    ]);
  });

  it('are none when the instance answers, be it with an error', () => {
    const { observe, sent } = start();

    observe('a', 'answered');
    observe('a', 'gateway-error');

    expect(sent).toEqual([]);
  });

  it('come once a second for each instance, however often it fails', async () => {
    const { observe, sent } = start();
    for (let times = 0; times < 100; times += 1) {
      observe('a');
      observe('b');
      await clock.advance(25);
    }

    expect(sent.map(({ id }) => id)).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
  });

  it('are remembered of so many instances, and of no more', async () => {
    const { observe, sent } = start();
    for (let n = 0; n < 5_000; n += 1) {
      observe(`i${n}`);
      if (n % 50 === 0) await turn();
    }
    expect(sent).toHaveLength(4_096);

    await clock.advance(1_000);
    observe('i4999');

    expect(sent).toHaveLength(4_097);
  });

  it('are dropped and counted while Redis is away, and said when it is back', async () => {
    const { observe, redis, sent, counted } = start();
    redis.status = 'reconnecting';
    observe('a');
    expect(sent).toEqual([]);

    redis.status = 'ready';
    observe('a');

    expect(sent).toHaveLength(1);
    expect(await counted()).toEqual([
      '{cause="connect-failed",outcome="lost"} 1',
      '{cause="connect-failed",outcome="heard"} 1',
    ]);
  });

  it('never wait in line for a Redis that hangs', async () => {
    const { observe, redis, sent, answerAll, counted } = start();
    redis.hangs = true;
    for (let n = 0; n < 1_000; n += 1) observe(`i${n}`, 'timeout');
    expect(sent).toHaveLength(64);

    answerAll();
    await counted();
    for (let n = 0; n < 10; n += 1) observe(`again${n}`, 'timeout');

    expect(sent).toHaveLength(74);
    expect(await counted()).toEqual([
      '{cause="request-timeout",outcome="lost"} 936',
      '{cause="request-timeout",outcome="unheard"} 64',
    ]);
  });

  it('that break the connection break nothing else', async () => {
    const { observe, redis, counted } = start();
    redis.broken = true;

    observe('a');

    expect(await counted()).toEqual(['{cause="connect-failed",outcome="lost"} 1']);
  });
});
