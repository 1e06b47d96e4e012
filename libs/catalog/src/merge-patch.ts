// How does one document become another? A JSON merge patch (RFC 7396): what differs, `null` for what goes away.

export type JsonObject = { readonly [key: string]: unknown };

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function same(a: unknown, b: unknown): boolean {
  if (isObject(a) && isObject(b)) return Object.keys(mergePatch(a, b)).length === 0;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((each, i) => same(each, b[i]));
  return a === b;
}

/** The patch that leads from `from` to `to`, neither of which has a `null`; arrays are replaced as a whole. */
export function mergePatch(from: object, to: object): JsonObject {
  const source = from as JsonObject;
  const target = to as JsonObject;
  const patch: Record<string, unknown> = {};
  for (const key of Object.keys(source)) {
    if (source[key] !== undefined && target[key] === undefined) patch[key] = null;
  }
  for (const [key, value] of Object.entries(target)) {
    const before = source[key];
    if (value === undefined || same(before, value)) continue;
    patch[key] = isObject(value) ? mergePatch(isObject(before) ? before : {}, value) : value;
  }
  return patch;
}

/** `target` with `patch` applied; changes neither. */
export function applyMergePatch(target: object, patch: JsonObject): JsonObject {
  const result: Record<string, unknown> = { ...target };
  for (const [key, value] of Object.entries(patch)) {
    const before = result[key];
    if (value === null) delete result[key];
    else result[key] = isObject(value) ? applyMergePatch(isObject(before) ? before : {}, value) : value;
  }
  return result;
}
