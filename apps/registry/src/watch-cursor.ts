// Where does a watcher stand? `<epoch>.<revision>`, the same as the id of an event.
import type { Cursor } from '@switchyard/catalog';
import { z } from 'zod';

/** The cursor in an event id, `<epoch>.<revision>`. */
export function cursorOf(id: string | undefined): Cursor | undefined {
  const match = /^(\d{1,15})\.(\d{1,16})$/.exec(id ?? '');
  return match ? { epoch: Number(match[1]), revision: Number(match[2]) } : undefined;
}

export const idOf = ({ epoch, revision }: Cursor): string => `${epoch}.${revision}`;

/** A cursor in a query. */
export const cursorSchema = z
  .string()
  .max(40)
  .refine((text) => cursorOf(text) !== undefined, 'must be a cursor such as 1700000000.42')
  .transform((text) => cursorOf(text) ?? { epoch: 0, revision: 0 })
  .meta({ description: 'the `switchyard-cursor` of the last answer, or the id of an event' });
