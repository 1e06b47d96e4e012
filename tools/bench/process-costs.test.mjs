import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createProcesses, onPath } from './processes.mjs';
import { cpuUsOf, residentBytesOf, watchCpu } from './process-costs.mjs';
import { pause, until } from './waiting.mjs';

const processes = createProcesses();
after(() => processes.endAll());

describe('the costs of a process', { skip: process.platform === 'linux' ? false : 'there is no /proc' }, () => {
  it('count the processor time of its children, too', async () => {
    const script = 'while :; do :; done & wait';
    const busy = await processes.start({ name: 'busy', command: '/bin/sh', args: ['-c', script] });
    await until(() => cpuUsOf(busy.pid) > 50_000, { what: 'the child works' });
    const beforeUs = cpuUsOf(busy.pid);
    await pause(200);
    assert.ok(cpuUsOf(busy.pid) > beforeUs);
    assert.ok(residentBytesOf(busy.pid) > 100_000);
    const watched = watchCpu({ pid: busy.pid, core: 0 });
    await pause(200);
    const { usedUs, foreignPart } = watched();
    assert.ok(usedUs > 0);
    assert.ok(foreignPart >= 0 && foreignPart <= 1.2, `${foreignPart}`);
    await busy.stop(500);
    assert.equal(cpuUsOf(busy.pid), 0);
  });

  it('end with the process, also when it is frozen', async () => {
    const frozen = await processes.start({
      name: 'frozen',
      command: process.execPath,
      args: ['-e', 'setInterval(() => {}, 99)'],
    });
    frozen.signal('SIGSTOP');
    await processes.endAll();
    assert.equal(frozen.isRunning(), false);
  });

  it('tell what cannot be started', async () => {
    const started = processes.start({ name: 'the proxy', command: '/nonexistent/proxy', core: undefined });
    if (onPath('setpriv') === undefined) await assert.rejects(started, /the proxy cannot be started/);
    else assert.notEqual((await (await started).ended).code, 0);
  });
});
