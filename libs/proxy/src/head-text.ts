// How does a head of our own making stand on the wire?

/** A head with its empty line. `headers`: name, value, name, value... */
export function headText(startLine: string, headers: readonly string[]): string {
  let text = `${startLine}\r\n`;
  for (let at = 0; at + 1 < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
  return `${text}\r\n`;
}
