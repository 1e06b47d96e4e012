import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { coveredSlots, ownerOfSlot, parseNodes } from './cluster-files.mjs';
import { wantedPorts } from './ports.mjs';
import { clusterKind } from './redis-cluster.mjs';

const names = clusterKind.nodeNames;

describe('the files of a Redis Cluster', () => {
  let home;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'switchyard-cluster-'));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  const place = (name, file) => join(home, 'redis-cluster', name, file);
  const nodesOf = (name) => parseNodes(readFileSync(place(name, 'nodes.conf'), 'utf8'));
  const idsIn = (name) => nodesOf(name).map(({ id }) => id);
  const prepare = (offset = '0') => {
    const { wanted } = wantedPorts({ SWITCHYARD_PORT_OFFSET: offset }, 'cluster');
    return clusterKind.prepare({ home, ports: wanted, wanted });
  };
  const giveData = (...of) => {
    for (const name of of) {
      mkdirSync(place(name, 'appendonlydir'), { recursive: true });
      writeFileSync(place(name, 'appendonlydir/appendonly.aof.1.incr.aof'), 'data');
    }
  };

  it('make up a whole cluster before any node has run: all slots, a replica of each primary, no two epochs alike', () => {
    assert.equal(prepare().warning, undefined);
    for (const name of names) {
      const nodes = nodesOf(name);
      assert.equal(coveredSlots(nodes), 16_384);
      const primaries = nodes.filter(({ isPrimary }) => isPrimary);
      assert.equal(new Set(primaries.map(({ epoch }) => epoch)).size, 3);
      for (const { id } of primaries) assert.equal(nodes.filter(({ follows }) => follows === id).length, 1);
      assert.equal(nodes.filter(({ isMyself }) => isMyself).length, 1);
    }
    assert.equal(ownerOfSlot(12_385, [nodesOf('r1')]).port, 4733);
    assert.match(readFileSync(place('r1', 'redis.conf'), 'utf8'), /^cluster-port 14731$/m);
  });

  it('go on with the same nodes when the first start was interrupted half way', () => {
    prepare();
    const ids = idsIn('r1');
    const file = join(home, 'redis-cluster', 'topology.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), created: false }));
    for (const name of ['r4', 'r6']) rmSync(place(name, 'nodes.conf'));
    prepare('100');
    for (const name of names) assert.deepEqual(idsIn(name), ids);
    assert.equal(nodesOf('r6').find(({ isMyself }) => isMyself).port, 4836);
  });

  it('are never made up anew: what the cluster has decided stays, also when the yard has forgotten everything else', () => {
    prepare();
    const decided = readFileSync(place('r4', 'nodes.conf'), 'utf8')
      .replace('0-5460', '0-100')
      .replace('Epoch 3', 'Epoch 9');
    writeFileSync(place('r4', 'nodes.conf'), decided);
    prepare();
    assert.equal(readFileSync(place('r4', 'nodes.conf'), 'utf8'), decided);
    rmSync(join(home, 'redis-cluster', 'topology.json'));
    prepare();
    assert.equal(readFileSync(place('r4', 'nodes.conf'), 'utf8'), decided);
  });

  it('follow when ports have moved', () => {
    prepare();
    const ids = idsIn('r2');
    prepare('1000');
    for (const name of names) {
      assert.deepEqual(idsIn(name), ids);
      assert.deepEqual(
        nodesOf(name).map(({ port }) => port),
        [5731, 5732, 5733, 5734, 5735, 5736],
      );
    }
    assert.match(readFileSync(place('r2', 'nodes.conf'), 'utf8'), /127\.0\.0\.1:5731@15731 /);
  });

  it('let a primary whose data is gone come back as a stranger, so that its replica keeps the data', () => {
    prepare();
    giveData('r1', 'r3', 'r4', 'r5', 'r6');
    assert.match(prepare().warning, /^r2 was a primary, but its data is gone/);
    assert.throws(() => nodesOf('r2'), /ENOENT/);
    for (const name of ['r1', 'r3', 'r4', 'r5', 'r6']) {
      // by its address the replica would copy whoever is there now
      assert.doesNotMatch(readFileSync(place(name, 'nodes.conf'), 'utf8'), /:4732@/);
      const nodes = nodesOf(name);
      assert.equal(nodes.filter(({ port, isFailed, isPrimary }) => port === 0 && isFailed && isPrimary).length, 1);
    }
    assert.match(prepare().warning, /r2 has lost its folder/);
  });
});

describe('the ports of a Redis Cluster', () => {
  it('have one more of each node for the bus, in reach of any offset', () => {
    const { wanted } = wantedPorts({}, 'cluster');
    assert.deepEqual([wanted.r6, wanted['r6 bus'], wanted.s1], [4736, 14_736, undefined]);
    assert.equal(wantedPorts({ SWITCHYARD_PORT_OFFSET: '55000' }, 'cluster').wanted['r1 bus'], 49_731);
    assert.match(wantedPorts({ SWITCHYARD_REDIS_PORTS: '1,2,3' }, 'cluster').why[0], /must be 6 ports/);
  });
});
