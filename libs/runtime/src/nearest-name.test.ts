import { describe, expect, it } from '@jest/globals';
import { nearestName } from './nearest-name.ts';

describe('the nearest name', () => {
  it.each([
    ['prot', 'port'],
    ['regisry', 'registry'],
    ['port', 'port'],
    ['weight', undefined],
    ['', undefined],
  ])('to %j is %j', (name, expected) => {
    expect(nearestName(name, ['host', 'port', 'registry'])).toBe(expected);
  });
});
