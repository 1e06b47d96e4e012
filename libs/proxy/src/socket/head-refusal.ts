// What is a client told whose request head cannot be taken?
import type { Refusal } from '@switchyard/protocol';
import type { HeadFault } from '../http1/head.ts';

const details: Readonly<Record<HeadFault, string>> = {
  'too-large': 'The head of the request is larger than allowed.',
  'target-too-long': 'The request line is longer than allowed.',
  'too-many-fields': 'The request has more header fields than allowed.',
  version: 'Only HTTP/1.1 and HTTP/1.0 are spoken here.',
  'start-line': 'The request line is malformed.',
  method: 'The method of the request is unknown.',
  target: 'The request-target is malformed.',
  status: 'The request line is malformed.',
  'line-ending': 'A line of the head does not end in CRLF.',
  'field-name': 'The name of a header field is malformed.',
  'field-value': 'The value of a header field has a character that is not allowed.',
  'folded-line': 'A header field is folded over two lines.',
  'content-length': 'Content-Length is not one number of bytes.',
  'transfer-encoding': 'The only Transfer-Encoding that is understood here is "chunked", once.',
  'length-and-encoding': 'The request has both Content-Length and Transfer-Encoding.',
  connection: 'The Connection field is malformed.',
};

/** The refusal, and its status where HTTP has a more exact one than the error table. */
export function headRefusal(fault: HeadFault): { readonly refusal: Refusal; readonly status?: number } {
  const detail = details[fault];
  if (fault === 'too-large' || fault === 'too-many-fields') return { refusal: { code: 'header_too_large', detail } };
  if (fault === 'target-too-long') return { refusal: { code: 'header_too_large', detail }, status: 414 };
  if (fault === 'version') return { refusal: { code: 'malformed_request', detail }, status: 505 };
  if (fault === 'transfer-encoding') return { refusal: { code: 'not_implemented', detail } };
  return { refusal: { code: 'malformed_request', detail } };
}
