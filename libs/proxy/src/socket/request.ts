// What becomes of a request whose head was read? It is checked and routed; what it becomes then is the exchange's to do.
import type { Refusal } from '@switchyard/protocol';
import type { RequestHead as RoutingFacts } from '../engine.ts';
import { Connection } from '../http1/head.ts';
import { Field } from '../http1/field-kind.ts';
import { hostOf, isAuthority, parseRequestTarget } from '../request-target.ts';
import type { RequestTarget } from '../request-target.ts';
import type { ClientConnection } from './client-connection.ts';
import { Exchange } from './exchange.ts';
import { idempotencyKeyOf } from './replay-claim.ts';
import { RequestBody } from './request-body.ts';

/** More hops through dispatchers of the same name than anybody needs: the request runs in a circle. */
const MOST_HOPS = 4;
const saneRequestId = /^[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}$/;

/** What is read of a head before anything is decided. */
interface CheckedRequest {
  readonly target: RequestTarget;
  /** of an absolute-form target, else of Host; empty for HTTP/1.0 without Host */
  readonly authority: string;
}

/** The exchange for the request in `client.head`; undefined when it was refused and the connection ends. */
export function beginRequest(client: ClientConnection): Exchange | undefined {
  const { engine, head } = client;
  const checked = check(client);
  if ('code' in checked) {
    client.refuseUnread(checked);
    return undefined;
  }
  if (head.minor === 1 && hasOtherExpectation(client)) {
    // RFC 9110 10.1.1; a spelling that only some understand makes others take the body for a request
    const detail = 'The only Expect that is understood here is "100-continue", once.';
    client.refuseUnread({ code: 'malformed_request', detail }, 417);
    return undefined;
  }
  const { options } = engine;
  const body = new RequestBody(head.fields, options.limits.replayBytes);
  return new Exchange(client, options.policy.route(new AskedHead(client, checked)), {
    ...checked,
    method: head.method,
    minor: head.minor,
    requestId: requestIdOf(client),
    expectsContinue: !body.done && expectsContinue(client),
    upgrade: isPassableUpgrade(client),
    connectionAuth: head.fields.connectionAuth,
    key: idempotencyKeyOf(client),
    body,
  });
}

const malformed = (because: string): Refusal => ({
  code: 'malformed_request',
  detail: `The request was refused: ${because}.`,
});

function check(client: ClientConnection): CheckedRequest | Refusal {
  const { engine, head, bytes } = client;
  const { method, fields } = head;
  if (method === 'TRACE') {
    return { code: 'method_not_allowed', detail: 'TRACE is refused: it would echo credentials.' };
  }
  if (method === 'CONNECT') {
    return { code: 'not_implemented', detail: 'CONNECT is refused: this is not a forward proxy.' };
  }
  const target = parseRequestTarget(bytes.toString('latin1', head.targetStart, head.targetEnd), method);
  if (typeof target === 'string') return malformed(target);
  if (fields.hosts > 1) return malformed('it has more than one Host');
  if (fields.hosts === 0 && head.minor === 1) return malformed('it has no Host');
  const host = fields.hosts === 0 ? '' : fields.value(bytes, fields.indexOf(Field.host));
  if (host !== '' && host !== client.checked.authority && !isAuthority(host))
    return malformed('its Host is not a host');
  if (fields.chunked && head.minor === 0) return malformed('HTTP/1.0 has no Transfer-Encoding');
  if (fields.has(Field.via) && hops(head.fields, bytes, engine.options.via) >= MOST_HOPS) {
    return { code: 'bad_upstream', detail: 'The request runs in a circle through this dispatcher.' };
  }
  return { target, authority: target.authority ?? host };
}

/** How often the request already went through a dispatcher of this name. */
function hops(fields: ClientConnection['head']['fields'], bytes: Buffer, via: string): number {
  let count = 0;
  for (let i = 0; i < fields.count; i += 1) {
    if (fields.kind[i] !== Field.via) continue;
    const entries = fields.value(bytes, i).toLowerCase().split(',');
    count += entries.filter((entry) => entry.trim().endsWith(` ${via.toLowerCase()}`)).length;
  }
  return count;
}

/** What the route may look at. The fields as text are made only for a route that asks for them. */
class AskedHead implements RoutingFacts {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly #client: ClientConnection;
  #headers: string[] | undefined;

  constructor(client: ClientConnection, { target, authority }: CheckedRequest) {
    const { checked } = client;
    if (authority !== checked.authority) client.checked = { authority, host: hostOf(authority) };
    this.method = client.head.method;
    this.host = client.checked.host;
    this.path = target.path;
    this.#client = client;
  }

  get headers(): string[] {
    return (this.#headers ??= this.#client.headerList());
  }
}

/** The client's own id when it is fit to be repeated in logs and answers, else a new one. */
function requestIdOf({ engine, head: { fields }, bytes }: ClientConnection): string {
  if (fields.has(Field.requestId)) {
    const given = fields.value(bytes, fields.indexOf(Field.requestId));
    if (saneRequestId.test(given)) return given;
  }
  return engine.newRequestId();
}

function hasOtherExpectation({ head: { fields }, bytes }: ClientConnection): boolean {
  if (!fields.has(Field.expect)) return false;
  for (let i = 0; i < fields.count; i += 1) {
    if (fields.kind[i] !== Field.expect) continue;
    const isFirst = i === fields.indexOf(Field.expect);
    if (!isFirst || fields.value(bytes, i).toLowerCase() !== '100-continue') return true;
  }
  return false;
}

/** The client waits for 100 (Continue) before it sends its body. */
function expectsContinue({ head: { fields, minor }, bytes }: ClientConnection): boolean {
  if (minor === 0 || !fields.has(Field.expect)) return false;
  return fields.value(bytes, fields.indexOf(Field.expect)).toLowerCase() === '100-continue';
}

/**
 * Protocol switches that are passed on: those of an ordinary GET without a body, to anything but HTTP/2. h2c would carry
 * requests past every check of this dispatcher; whatever is not passed on is answered as if Upgrade was not there.
 */
function isPassableUpgrade({ head, bytes }: ClientConnection): boolean {
  const { fields } = head;
  if ((fields.connection & Connection.upgrade) === 0 || !fields.has(Field.upgrade)) return false;
  if (head.method !== 'GET' || head.minor === 0 || fields.chunked || fields.contentLength > 0) return false;
  const protocols = fields.value(bytes, fields.indexOf(Field.upgrade)).toLowerCase().split(',');
  return protocols.every((each) => !/^(?:h2c?|http\/.*|)$/.test(each.trim()));
}
