// How are nodes called? `name=host:port` lines become a lookup by address.

/** Names by `host:port`; of two names for one address the first counts. */
export const nodeNamesOf = (lines: readonly string[]): ReadonlyMap<string, string> => {
  const names = new Map<string, string>();
  for (const line of lines) {
    const at = line.indexOf('=');
    const key = line.slice(at + 1);
    if (at > 0 && !names.has(key)) names.set(key, line.slice(0, at));
  }
  return names;
};
