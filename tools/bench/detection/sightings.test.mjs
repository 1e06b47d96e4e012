import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createSightings, isAlive, isGone } from './sightings.mjs';

describe('sightings', () => {
  it('say when something changed, not when it was looked at', async () => {
    const sightings = createSightings();
    sightings.set('a', 'alive', 100);
    sightings.set('a', 'alive', 200);
    assert.equal(await sightings.became('a', isAlive, 10), 100);
  });

  it('count those that were removed since the mark, also when they are back', () => {
    const sightings = createSightings();
    sightings.setAll(['a', 'b', 'c'], 1);
    sightings.setAll(['b', 'c'], 2);
    sightings.mark();
    sightings.set('c', 'suspect', 3);
    sightings.setAll(['c'], 4);
    sightings.setAll(['b', 'c'], 5);
    assert.equal(sightings.removals(['a', 'b', 'c']), 1);
    assert.equal(sightings.removals(['a', 'c']), 0);
  });

  it('give up after a while, and say what was seen in place of it', async () => {
    const sightings = createSightings();
    sightings.set('a', 'suspect', 1);
    await assert.rejects(sightings.became('a', isGone, 5), /a is still suspect/);
  });
});
