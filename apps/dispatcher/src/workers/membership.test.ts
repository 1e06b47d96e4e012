// May the dispatcher take work, when it is several processes?
import { createHealth, systemClock } from '@switchyard/runtime';
import { groupReport } from './membership.ts';
import type { WorkerView } from './messages.ts';

const ready = (number: number): WorkerView => ({ number, slot: number, phase: 'READY', why: '' });
const starting: WorkerView = { number: 3, slot: 1, phase: 'STARTING', why: 'starting: it starts' };
const own = createHealth({ clock: systemClock });
own.set('table', { ok: true });
const reportOf = (workers: readonly WorkerView[], leaving = false) =>
  groupReport(own, { workers, leaving, sinceUnixMs: 7 });

describe('the readiness of several workers', () => {
  it('is theirs together: one that starts is ready because another one is, and says who is not', () => {
    expect(own.report().ready).toBe(false);
    expect(reportOf([ready(2), starting])).toMatchObject({
      ready: true,
      phase: 'RUNNING',
      why: [],
      checks: {
        table: { ok: true },
        workers: {
          ok: false,
          detail: '1 of 2 worker processes are ready; worker 3: starting: it starts',
          sinceUnixMs: 7,
        },
      },
    });
  });

  it('is that of the worker itself while none is ready', () => {
    expect(reportOf([starting])).toMatchObject({ ready: false, why: ['the service is INITIALIZED'] });
  });

  it('ends as soon as all are to stop', () => {
    expect(reportOf([ready(1), ready(2)], true)).toMatchObject({
      ready: false,
      phase: 'DRAINING',
      why: ['the dispatcher stops'],
    });
  });
});
