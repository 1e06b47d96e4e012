// May this request go further at all, and how is its body framed? Whatever two readers could understand in two ways
// is refused here (RFC 9112 3.2, 6.1, 6.3, 11.2), on top of what the parser refuses by itself.
import { refuse, type Result } from '@switchyard/protocol';
import { tokensOf, valuesOf, type HeaderList } from './header-list.ts';
import { isAuthority, parseRequestTarget, type RequestTarget } from './request-target.ts';

/** How the end of the request's body is known. */
export type BodyFraming =
  { readonly kind: 'none' } | { readonly kind: 'length'; readonly bytes: number } | { readonly kind: 'chunked' };

/** A request head as the parser hands it over. */
export interface RawHead {
  readonly method: string;
  readonly target: string;
  /** "1.0" or "1.1". */
  readonly httpVersion: string;
  readonly headers: HeaderList;
}

/** A head that only one reading is possible of. */
export interface CheckedHead {
  readonly target: RequestTarget;
  /** The authority that the client meant: of an absolute-form target, else of Host; empty for HTTP/1.0 without Host. */
  readonly authority: string;
  readonly framing: BodyFraming;
}

const noBody: BodyFraming = Object.freeze({ kind: 'none' });
const chunked: BodyFraming = Object.freeze({ kind: 'chunked' });

/** The head, checked, or the refusal. Errors: malformed_request, method_not_allowed, not_implemented. */
export function checkHead(head: RawHead): Result<CheckedHead> {
  if (head.method === 'TRACE') return refuse('method_not_allowed', 'TRACE is refused: it would echo credentials.');
  if (head.method === 'CONNECT') return refuse('not_implemented', 'CONNECT is refused: this is not a forward proxy.');
  const target = parseRequestTarget(head.target, head.method);
  if (typeof target === 'string') return refuse('malformed_request', `The request was refused: ${target}.`);

  const hosts = valuesOf(head.headers, 'host');
  if (hosts.length > 1) return malformed('it has more than one Host');
  const [host] = hosts;
  if (host === undefined && head.httpVersion !== '1.0') return malformed('it has no Host');
  if (host !== undefined && host !== '' && !isAuthority(host)) return malformed('its Host is not a host');

  const framing = framingOf(head);
  return framing.ok
    ? { ok: true, value: { target, authority: target.authority ?? host ?? '', framing: framing.value } }
    : framing;
}

function framingOf({ headers, httpVersion }: RawHead): Result<BodyFraming> {
  const codings = tokensOf(headers, 'transfer-encoding');
  const lengths = valuesOf(headers, 'content-length');
  if (codings.length > 0) {
    if (lengths.length > 0) return malformed('it has both Content-Length and Transfer-Encoding');
    if (httpVersion === '1.0') return malformed('HTTP/1.0 has no Transfer-Encoding');
    if (codings.length > 1 || codings[0] !== 'chunked') {
      return refuse('not_implemented', 'The only Transfer-Encoding that is understood here is "chunked".');
    }
    return { ok: true, value: chunked };
  }
  if (valuesOf(headers, 'transfer-encoding').length > 0) return malformed('its Transfer-Encoding is empty');
  const [length] = lengths;
  if (length === undefined) return { ok: true, value: noBody };
  if (lengths.length > 1) return malformed('it has more than one Content-Length');
  if (!/^\d{1,16}$/.test(length) || !Number.isSafeInteger(Number(length))) {
    return malformed('its Content-Length is not a number of bytes');
  }
  return { ok: true, value: { kind: 'length', bytes: Number(length) } };
}

function malformed(because: string): ReturnType<typeof refuse> {
  return refuse('malformed_request', `The request was refused: ${because}.`);
}
