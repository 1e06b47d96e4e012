// What does an answer say about the instance that gave it?
import type { AnswerHead } from '../http1/answer-head.ts';
import { Field } from '../http1/field-kind.ts';

/** The id of the instance that really answered a 421 (RFC 9110 15.5.20), when it is another one than was meant. */
export function misdirectedTo(
  { bytes, head }: { readonly bytes: Buffer; readonly head: AnswerHead },
  meant: string,
): string | undefined {
  const { fields } = head;
  if (!fields.has(Field.instance)) return undefined;
  const named = fields.value(bytes, fields.indexOf(Field.instance));
  return named === meant ? undefined : named.slice(0, 128);
}
