import type { RequestOutcome } from '@switchyard/proxy';
import { createRequestLog } from './request-log.ts';

const outcome = (requestId: string, status = 502): RequestOutcome => ({
  requestId,
  method: 'GET',
  target: '/',
  host: '',
  route: undefined,
  service: undefined,
  end: 'refused',
  status,
  code: 'bad_upstream',
  why: [],
  attempts: [],
  startedUnixMs: 0,
  tookMs: 1,
});

describe('the log of requests', () => {
  it('keeps the newest, finds the latest of an id, and forgets the oldest', () => {
    const log = createRequestLog(3);
    for (const id of ['a', 'b', 'c', 'd']) log.record(outcome(id));
    log.record(outcome('c', 504));
    expect(log.latest(10).map(({ requestId }) => requestId)).toEqual(['c', 'd', 'c']);
    expect(log.latest(1)).toHaveLength(1);
    expect([log.find('a'), log.find('c')?.status, log.find('d')?.status]).toEqual([undefined, 504, 502]);
  });

  it('is empty at first', () => {
    expect([createRequestLog(2).latest(5), createRequestLog(2).find('a')]).toEqual([[], undefined]);
  });
});
