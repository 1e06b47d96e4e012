// How does an interim answer (100, 103; RFC 9110 15.2) get to the client? In front of the answer it belongs to.
import type { Exchange } from './exchange.ts';
import { interimHeaders } from './response-headers.ts';

const reasons: Readonly<Record<number, string>> = { 102: 'Processing', 103: 'Early Hints', 104: 'Upload Resumption' };

/** Passes it on to clients that know interim answers and are not in the middle of another answer. */
export function passInterim(
  { req, res, expectsContinue }: Exchange,
  status: number,
  rawHeaders: readonly string[],
): void {
  const { socket } = res;
  if (!socket || res.headersSent || req.httpVersion === '1.0' || status === 101) return;
  if (status === 100) {
    // Asked for, or not at all: 100 twice confuses clients.
    if (expectsContinue) res.writeContinue();
    return;
  }
  socket.write(headText(`HTTP/1.1 ${status} ${reasons[status] ?? 'Interim'}`, interimHeaders(rawHeaders)), 'latin1');
}

/** A head as it stands on the wire, with its empty line. */
export function headText(startLine: string, headers: readonly string[]): string {
  let text = `${startLine}\r\n`;
  for (let at = 0; at + 1 < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
  return `${text}\r\n`;
}
