// How is a JSON document written as YAML? In blocks; strings are quoted as JSON wherever they could be read as anything else.

const plain = /^[A-Za-z][A-Za-z0-9 _./:@-]*$/;
const otherMeaning = /^(?:true|false|null|yes|no|on|off|y|n)$|: |:$| $/i;

/** The document, ended by a line end. */
export function yamlText(document: unknown): string {
  const text = block(document, 0);
  return text.startsWith('\n') ? text.slice(1) : `${text.trimStart()}\n`;
}

// Begins with a line end where it is more than a word, and ends with one.
function block(value: unknown, depth: number): string {
  const indent = '  '.repeat(depth);
  if (Array.isArray(value)) {
    if (value.length === 0) return ' []';
    return `\n${value.map((item) => `${indent}-${itemText(item, depth)}`).join('')}`;
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    if (entries.length === 0) return ' {}';
    return `\n${entries.map(([key, item]) => `${indent}${word(key)}:${ended(block(item, depth + 1))}`).join('')}`;
  }
  return ` ${typeof value === 'string' ? word(value) : JSON.stringify(value ?? null)}`;
}

// A mapping within a list begins on the line of its dash.
function itemText(item: unknown, depth: number): string {
  const text = block(item, depth + 1);
  return ended(text.startsWith('\n') ? ` ${text.slice(1).trimStart()}` : text);
}

function ended(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}

function word(text: string): string {
  return plain.test(text) && !otherMeaning.test(text) ? text : JSON.stringify(text);
}
