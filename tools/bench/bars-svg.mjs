// How is a table of a few numbers drawn? Horizontal bars in groups, as an SVG that needs nothing else.

const width = 860;
const labelWidth = 330;
const valueWidth = 90;
const barHeight = 16;
const groupGap = 14;
const top = 64;
/** Distinct also for people who see few colours, on white as on black. */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7'];

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const told = (value) => value.toLocaleString('en-US', { maximumFractionDigits: value < 10 ? 2 : 0 });

/**
 * `{ title, groups: [{ label, bars: [{ name, value }] }] }` as text; the bars of all groups share one scale, and the same names in
 * the same order. A bar without a value is left out.
 */
export function barsSvg({ title, groups }) {
  const names = groups[0]?.bars.map(({ name }) => name) ?? [];
  const largest = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value ?? 0)), Number.MIN_VALUE);
  const scale = (width - labelWidth - valueWidth) / largest;
  const groupHeight = names.length * barHeight + groupGap;
  const height = top + groups.length * groupHeight;
  const text = (x, y, words, more = '') => `<text x="${x}" y="${y}"${more}>${escaped(words)}</text>`;
  const legend = names.map((name, at) => {
    const x = labelWidth + at * 230;
    return `<rect x="${x}" y="36" width="12" height="12" fill="${colours[at % colours.length]}"/>${text(x + 18, 47, name)}`;
  });
  const rows = groups.flatMap(({ label, bars }, group) => {
    const y = top + group * groupHeight;
    const middle = y + (names.length * barHeight) / 2 + 4;
    const drawn = bars.map(({ value }, at) => {
      if (value === undefined) return '';
      const length = Math.max(1, value * scale);
      const place = y + at * barHeight;
      const bar = `<rect x="${labelWidth}" y="${place}" width="${length.toFixed(1)}" height="${barHeight - 3}" fill="${colours[at % colours.length]}"/>`;
      return bar + text((labelWidth + length + 6).toFixed(1), place + 11, told(value));
    });
    return [text(labelWidth - 10, middle, label, ' text-anchor="end"'), ...drawn];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="12" fill="#767676">`,
    `<title>${escaped(title)}</title>`,
    text(10, 22, title, ' font-size="15"'),
    ...legend,
    ...rows.filter((row) => row !== ''),
    '</svg>',
    '',
  ].join('\n');
}
