import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { barsSvg } from './bars-svg.mjs';

describe('barsSvg', () => {
  it('draws every value to one scale, leaves out what was not measured, and escapes words', () => {
    const svg = barsSvg({
      title: 'a < b & c',
      groups: [
        {
          label: 'one',
          bars: [
            { name: 'x', value: 100 },
            { name: 'y', value: 50 },
          ],
        },
        {
          label: 'two',
          bars: [
            { name: 'x', value: undefined },
            { name: 'y', value: 25 },
          ],
        },
      ],
    });
    assert.match(svg, /<title>a &lt; b &amp; c<\/title>/);
    const widths = [...svg.matchAll(/width="([\d.]+)" height="13"/g)].map(([, width]) => Number(width));
    assert.deepEqual(widths, [440, 220, 110]);
    assert.match(svg, />100<\/text>/);
  });

  it('survives having nothing to draw', () => {
    assert.match(barsSvg({ title: 'empty', groups: [] }), /^<svg[\s\S]*<\/svg>\n$/);
  });
});
