import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decidePrimary } from './redis-roles.mjs';

const ports = { r1: 4731, r2: 4732, r3: 4733 };
const at = (name) => ({ host: '127.0.0.1', port: ports[name] });
const primaryNode = (name, more) => ({ name, port: ports[name], conf: {}, hasData: true, writtenMs: 1, ...more });
const replicaNode = (name, of, more) => primaryNode(name, { conf: { replicaOf: at(of) }, ...more });
const sentinel = (name, configEpoch) => ({ primary: at(name), configEpoch });
const emptyNode = (name) => ({ name, port: ports[name], conf: undefined, hasData: false, writtenMs: 0 });

describe('decidePrimary', () => {
  it('takes the first node on the very first boot only', () => {
    const first = decidePrimary({ nodes: ['r1', 'r2', 'r3'].map(emptyNode), sentinels: [] });
    assert.equal(first.primary, 'r1');
    assert.match(first.because, /first boot/);
    assert.equal(first.epoch, 0);
  });

  it('believes the Sentinels when the former primary died before it could learn of the failover', () => {
    // The trap: r1 was killed, r2 was promoted, everything was stopped; r1 still holds itself for the primary.
    const nodes = [primaryNode('r1', { writtenMs: 99 }), primaryNode('r2'), replicaNode('r3', 'r2')];
    const sentinels = [sentinel('r2', 1), sentinel('r2', 1), sentinel('r2', 1)];
    const decision = decidePrimary({ nodes, sentinels });
    assert.deepEqual([decision.primary, decision.epoch, decision.warning], ['r2', 1, undefined]);
  });

  it('decides the same when one Sentinel file is missing and another one is of an older epoch', () => {
    const nodes = [primaryNode('r1'), primaryNode('r2'), replicaNode('r3', 'r2')];
    assert.equal(decidePrimary({ nodes, sentinels: [sentinel('r1', 0), sentinel('r2', 1)] }).primary, 'r2');
    assert.equal(decidePrimary({ nodes, sentinels: [sentinel('r2', 4)] }).primary, 'r2');
  });

  it('believes the one Sentinel that led a failover and was stopped before it could tell the others', () => {
    const nodes = [primaryNode('r1'), replicaNode('r2', 'r1'), primaryNode('r3')];
    const sentinels = [sentinel('r1', 6), sentinel('r3', 7), sentinel('r1', 6)];
    assert.deepEqual(pick(decidePrimary({ nodes, sentinels })), ['r3', 7]);
  });

  it('does not believe a lone Sentinel that the node itself contradicts', () => {
    const nodes = [primaryNode('r1'), replicaNode('r2', 'r1'), replicaNode('r3', 'r1')];
    const sentinels = [sentinel('r1', 6), sentinel('r3', 7), sentinel('r1', 6)];
    // The epoch does not fall back all the same: it has been given out.
    assert.deepEqual(pick(decidePrimary({ nodes, sentinels })), ['r1', 7]);
  });

  it('asks the nodes themselves when there is no Sentinel file: most followers first', () => {
    const nodes = [primaryNode('r1', { writtenMs: 99 }), primaryNode('r2'), replicaNode('r3', 'r2')];
    assert.equal(decidePrimary({ nodes, sentinels: [] }).primary, 'r2');
  });

  it('takes the newest data when two nodes hold themselves for the primary and nobody follows', () => {
    const nodes = [primaryNode('r1', { writtenMs: 5 }), primaryNode('r2', { writtenMs: 9 }), emptyNode('r3')];
    assert.equal(decidePrimary({ nodes, sentinels: [] }).primary, 'r2');
  });

  it('takes the newest data when every file is gone but data', () => {
    const nodes = [emptyNode('r1'), { ...emptyNode('r2'), hasData: true, writtenMs: 3 }, emptyNode('r3')];
    assert.equal(decidePrimary({ nodes, sentinels: [] }).primary, 'r2');
  });

  it('never starts a primary without data while another node has data, and says so', () => {
    const nodes = [
      emptyNode('r1'),
      replicaNode('r2', 'r1', { writtenMs: 5 }),
      replicaNode('r3', 'r1', { writtenMs: 8 }),
    ];
    for (const sentinels of [[], [sentinel('r1', 3), sentinel('r1', 3), sentinel('r1', 3)]]) {
      const decision = decidePrimary({ nodes, sentinels });
      assert.equal(decision.primary, 'r3');
      assert.match(decision.warning, /r1 was the primary .* data is gone/);
      assert.equal(decision.epoch, sentinels.length === 0 ? 1 : 4, 'a decision over the Sentinels needs a new epoch');
    }
  });

  it('keeps the known primary when no node at all has data', () => {
    const nodes = ['r1', 'r2', 'r3'].map((name) => ({ ...emptyNode(name), conf: {} }));
    assert.equal(decidePrimary({ nodes, sentinels: [sentinel('r2', 2), sentinel('r2', 2)] }).primary, 'r2');
  });

  it('ignores a Sentinel that names an address which no node had', () => {
    const nodes = [primaryNode('r1'), replicaNode('r2', 'r1'), replicaNode('r3', 'r1')];
    const stranger = { primary: { host: '127.0.0.1', port: 9_999 }, configEpoch: 9 };
    assert.equal(decidePrimary({ nodes, sentinels: [stranger, sentinel('r1', 1)] }).primary, 'r1');
  });
});

function pick({ primary, epoch }) {
  return [primary, epoch];
}
