// Is this request meant for somebody else? An address is used again: a dispatcher with an old table would reach whoever listens
// there now. It names whom it means in Switchyard-Instance; who is another one answers 421 (RFC 9110 15.5.20), before the
// request has had any effect, and the dispatcher sends it elsewhere, whatever its method.
import { refuse } from '@switchyard/protocol';
import type { Refusal } from '@switchyard/protocol';

/** The refusal for a request whose `Switchyard-Instance` names another instance than `id`; undefined when it is to be served. */
export const misdirected = (header: string | readonly string[] | undefined, id: string): Refusal | undefined => {
  const named = (typeof header === 'string' ? header : (header?.join(', ') ?? '')).trim();
  if (named === '' || named === id) return undefined;
  return refuse('misdirected', `this is ${id}, not the instance that the request is meant for`, {
    why: [`Switchyard-Instance: ${named.slice(0, 128)}`, 'the request was not looked at any further and had no effect'],
    next: 'send it again: another instance can take it',
  }).error;
};
