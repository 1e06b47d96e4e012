// What tells one keyed request apart from all others? Its key alone does not: clients choose keys by themselves, so whose request
// it is and what it asks for belong to it (draft-ietf-httpapi-idempotency-key-header, section 2.4).
import type { ReplayClaim } from '../engine.ts';
import { Field } from '../http1/field-kind.ts';
import type { ClientConnection } from './client-connection.ts';
import type { RequestFacts } from './request-facts.ts';

const LONGEST_KEY = 256;

/** The value of its one Idempotency-Key; undefined when it has none, several, or one that is empty or too long. */
export function idempotencyKeyOf({
  head: { fields },
  bytes,
}: Pick<ClientConnection, 'head' | 'bytes'>): string | undefined {
  if (!fields.has(Field.idempotencyKey)) return undefined;
  let key: string | undefined;
  for (let i = 0; i < fields.count; i += 1) {
    if (fields.kind[i] !== Field.idempotencyKey) continue;
    if (key !== undefined) return undefined;
    key = fields.value(bytes, i);
  }
  return key !== undefined && key !== '' && key.length <= LONGEST_KEY ? key : undefined;
}

/** The claim of a request that has a key. */
export function claimOf(client: ClientConnection, facts: RequestFacts, service: string): ReplayClaim {
  const { method, authority, target, key = '', requestId } = facts;
  const credentials = client.headerList().filter((_, at, list) => {
    const name = (at % 2 === 0 ? '' : (list[at - 1] as string)).toLowerCase();
    return name === 'authorization' || name === 'cookie';
  });
  const asked = [method, authority, `${target.path}${target.query}`];
  return { service, requestId, fingerprint: [...asked, ...credentials, key].join('\n') };
}
