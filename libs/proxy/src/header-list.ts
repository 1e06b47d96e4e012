// How are header fields kept on their way through? As they came: one flat list of name, value, name, value, in order,
// with their spelling and their duplicates (the shape of node:http's rawHeaders). Nothing is merged, nothing reordered.

/** Name, value, name, value... in the order of the wire. */
export type HeaderList = readonly string[];

/** Every value of the field, in order. `name` in lower case. */
export function valuesOf(headers: HeaderList, name: string): string[] {
  const values: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    if (isNamed(headers[at] as string, name)) values.push(headers[at + 1] as string);
  }
  return values;
}

/** The first value of the field, or undefined. `name` in lower case. */
export function valueOf(headers: HeaderList, name: string): string | undefined {
  for (let at = 0; at + 1 < headers.length; at += 2) {
    if (isNamed(headers[at] as string, name)) return headers[at + 1];
  }
  return undefined;
}

/** True when the spelled name is `name` (lower case). */
export function isNamed(spelled: string, name: string): boolean {
  return spelled.length === name.length && (spelled === name || spelled.toLowerCase() === name);
}
