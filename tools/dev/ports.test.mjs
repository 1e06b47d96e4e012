import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { demoPorts, portIsFree, portNotes, settlePorts, wantedPorts } from './ports.mjs';

const allFree = async () => true;
const except = (...taken) => async (port) => !taken.includes(port); // prettier-ignore

describe('wantedPorts', () => {
  it('gives the ports of the contract without any setting', () => {
    const { wanted, demoBase } = wantedPorts({});
    assert.deepEqual([wanted.traffic, wanted.control, wanted.registry, demoBase], [4700, 4710, 4721, 4801]);
    assert.deepEqual([wanted['heartbeat-monitor'], wanted['heartbeat-monitor-2']], [4722, 4726]);
    assert.deepEqual([wanted.r3, wanted.s3], [4733, 4743]);
  });

  it('shifts the contract, not what was set by name', () => {
    const { wanted, demoBase } = wantedPorts({ SWITCHYARD_PORT_OFFSET: '1000', SWITCHYARD_REGISTRY_PORT: '9000' });
    assert.deepEqual([wanted.traffic, wanted.registry, wanted.s1, demoBase], [5700, 9000, 5741, 5801]);
  });

  it('takes lists for Redis nodes and Sentinels', () => {
    const { wanted } = wantedPorts({ SWITCHYARD_REDIS_PORTS: '7001,7002,7003' });
    assert.deepEqual([wanted.r1, wanted.r2, wanted.r3], [7001, 7002, 7003]);
  });

  it('names everything that is wrong at once', () => {
    const { ok, why } = wantedPorts({
      SWITCHYARD_REGISTRY_PORT: 'x',
      SWITCHYARD_SENTINEL_PORTS: '1,2',
      SWITCHYARD_BACKUP_PORT: '4700',
    });
    assert.equal(ok, false);
    assert.match(why.join('\n'), /SWITCHYARD_REGISTRY_PORT[^]*SWITCHYARD_SENTINEL_PORTS must be 3[^]*port 4700/);
    assert.equal(wantedPorts({ SWITCHYARD_PORT_OFFSET: '61000' }).ok, false);
  });
});

describe('settlePorts', () => {
  it('moves to the next port that is free and that no other part wants', async () => {
    const wanted = { a: 4731, b: 4732, c: 4733 };
    const { ports, moved } = await settlePorts({ wanted, isFree: except(4731, 4734) });
    assert.deepEqual(ports, { a: 4735, b: 4732, c: 4733 });
    assert.deepEqual(moved, [{ part: 'a', from: 4731, to: 4735 }]);
  });

  it('keeps the port of the last run, unless it is taken now or another one is wanted', async () => {
    const earlier = { wanted: { r1: 4731 }, ports: { r1: 4735 } };
    assert.equal((await settlePorts({ wanted: { r1: 4731 }, earlier, isFree: allFree })).ports.r1, 4735);
    assert.equal((await settlePorts({ wanted: { r1: 4731 }, earlier, isFree: except(4735) })).ports.r1, 4731);
    assert.equal((await settlePorts({ wanted: { r1: 5731 }, earlier, isFree: allFree })).ports.r1, 5731);
  });

  it('sees a port on which somebody listens', async () => {
    const server = createServer();
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address();
    assert.equal(await portIsFree(port), false);
    await new Promise((resolve) => server.close(resolve));
    assert.equal(await portIsFree(port), true);
    // nobody listens there, but no browser would go there either
    assert.equal(await portIsFree(6_000), false);
  });
});

describe('portNotes', () => {
  it('names port, part and holder, and says little when all ports are taken', () => {
    const moved = [1, 2, 3, 4, 5].map((index) => ({ part: `p${index}`, from: index, to: index + 10 }));
    assert.deepEqual(
      portNotes(moved.slice(0, 1), () => 'x, pid 7'),
      ['port 1 (p1) is taken by x, pid 7; using 11'],
    );
    assert.equal(portNotes(moved, () => undefined).length, 4);
  });
});

describe('demoPorts', () => {
  it('does not give a port again within 10 s after it was used', async () => {
    let nowMs = 0;
    const ports = demoPorts({ base: 4801, nowMs: () => nowMs, isFree: except(4802) });
    assert.deepEqual([await ports.take(), await ports.take()], [4801, 4803]);
    ports.release(4801);
    nowMs = 9_999;
    assert.equal(await ports.take(), 4804);
    nowMs = 10_000;
    assert.equal(await ports.take(), 4801);
  });
});
