// How does an interim answer (100, 103; RFC 9110 15.2) get to the client? In front of the answer it belongs to.
import type { Exchange } from './exchange.ts';
import { interimHeaders } from './response-headers.ts';

const reasons: Readonly<Record<number, string>> = { 102: 'Processing', 103: 'Early Hints', 104: 'Upload Resumption' };

/** Passes it on to clients that know interim answers and are not in the middle of another answer. */
export function passInterim(exchange: Exchange, status: number, rawHeaders: readonly string[]): void {
  const { req, res } = exchange;
  if (!res.socket || res.headersSent || req.httpVersion === '1.0' || status === 101) return;
  if (status === 100) {
    // Only when it was asked for, and once: a second 100 confuses clients.
    if (exchange.expectsContinue && !exchange.continued) res.writeContinue();
    exchange.continued = true;
    return;
  }
  const startLine = `HTTP/1.1 ${status} ${reasons[status] ?? 'Interim'}`;
  res.socket.write(headText(startLine, interimHeaders(rawHeaders)), 'latin1');
}

/** A head as it stands on the wire, with its empty line. */
export function headText(startLine: string, headers: readonly string[]): string {
  let text = `${startLine}\r\n`;
  for (let at = 0; at + 1 < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
  return `${text}\r\n`;
}
