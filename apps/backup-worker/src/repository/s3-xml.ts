// What does a store say in its answers? The few elements of the S3 API that are used here; its documents have no attributes that matter.

/** The texts of all elements `name`, whatever they lie in. */
export function textsOf(xml: string, name: string): string[] {
  return blocksOf(xml, name).map(unescape);
}

/** The text of the first element `name`; empty when there is none. */
export function textOfFirst(xml: string, name: string): string {
  return textsOf(xml, name)[0] ?? '';
}

/** The content of all elements `name` as it stands. They do not hold others of their own name. */
export function blocksOf(xml: string, name: string): string[] {
  const found: string[] = [];
  const open = new RegExp(`<${name}(?:\\s[^>]*)?>`, 'g');
  for (let match = open.exec(xml); match !== null; match = open.exec(xml)) {
    const end = xml.indexOf(`</${name}>`, open.lastIndex);
    if (end === -1) break;
    found.push(xml.slice(open.lastIndex, end));
    open.lastIndex = end;
  }
  return found;
}

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function unescape(text: string): string {
  return text.replaceAll(
    /&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi,
    (whole, decimal?: string, hex?: string, name?: string) => {
      if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      return entities[name ?? ''] ?? whole;
    },
  );
}

/** Text for an element. */
export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
