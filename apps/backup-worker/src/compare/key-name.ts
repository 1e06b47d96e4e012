// How is the name of a key shown to a person? Any bytes may be one.

const longestChars = 200;

/** The name as text: what cannot be printed as `\xNN`, cut after 200 characters, with `db<n> ` before it unless the database is 0. */
export function keyName(name: Buffer, database = 0): string {
  const text = name.toString('utf8');
  const isText = !text.includes('\ufffd');
  const whole = isText
    ? text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\]/gu, escaped)
    : name.toString('latin1').replace(/[^\x20-\x7e]|\\/g, escaped);
  const shown = whole.length > longestChars ? `${whole.slice(0, longestChars - 1)}…` : whole;
  return database === 0 ? shown : `db${database} ${shown}`;
}

function escaped(character: string): string {
  if (character === '\\') return '\\\\';
  return [...Buffer.from(character, character <= '\xff' ? 'latin1' : 'utf8')]
    .map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`)
    .join('');
}
