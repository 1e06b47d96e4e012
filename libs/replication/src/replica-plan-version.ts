// Which of two servers is the older one? Only releases (`7.0`, `7.2`) count: patches of one release read each other's files.

/** Whether `a` is of an older release than `b`; false while one of them is not known. */
export const olderRelease = (a: string | null, b: string | null): boolean => {
  const left = releaseOf(a);
  const right = releaseOf(b);
  if (left === null || right === null) return false;
  return left.major === right.major ? left.minor < right.minor : left.major < right.major;
};

const releaseOf = (version: string | null): { readonly major: number; readonly minor: number } | null => {
  const found = /^(\d+)\.(\d+)/.exec(version ?? '');
  return found === null ? null : { major: Number(found[1]), minor: Number(found[2]) };
};
