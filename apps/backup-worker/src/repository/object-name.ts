// Which names may objects have? Those that are the same in every kind of store and cannot lead out of it.
import { ObjectStoreError } from './object-store.ts';

const part = '[A-Za-z0-9_-][A-Za-z0-9._-]*';
const namePattern = new RegExp(`^${part}(?:/${part})*$`);
const prefixPattern = new RegExp(`^(?:${part}/)*(?:${part})?$`);
/** S3 takes 1,024 bytes with the store's own prefix; file systems 255 for each part. */
const longestName = 900;
const longestPart = 200;

/** Whether objects may be called so. */
export function isObjectName(name: string): boolean {
  return (
    name.length <= longestName && namePattern.test(name) && name.split('/').every((one) => one.length <= longestPart)
  );
}

/** Rejects any other name with `refused`. */
export function checkObjectName(name: string): void {
  if (!isObjectName(name)) throw new ObjectStoreError('refused', `${JSON.stringify(name)} is no name of an object.`);
}

/** Rejects what cannot be the beginning of a name with `refused`. */
export function checkPrefix(prefix: string): void {
  if (!prefixPattern.test(prefix))
    throw new ObjectStoreError('refused', `${JSON.stringify(prefix)} is no beginning of a name.`);
}
