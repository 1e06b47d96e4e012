// What does a client see when the dispatcher itself says no? A problem document (RFC 9457), or the same as a page for
// people whose browser asks for HTML.
import { problemMediaType, problemOf, type Problem, type Refusal } from '@switchyard/protocol';
import { valuesOf, type HeaderList } from './header-list.ts';

/** The request that is refused, as far as it is known. */
export interface RefusedRequest {
  readonly requestId: string;
  /** Path, without query (it may hold secrets). */
  readonly path: string;
  readonly headers: HeaderList;
}

/** An answer, ready to be written. */
export interface RefusalAnswer {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: string;
}

const retryAfterSeconds = 1;

/** The answer to a refusal. `status` goes over the one of the error table where HTTP has a more exact one (408, 417). */
export function refusalAnswer(refusal: Refusal, request: RefusedRequest, status?: number): RefusalAnswer {
  const problem: Problem = {
    ...problemOf(refusal, { instance: cut(request.path), requestId: request.requestId }),
    ...(status === undefined ? {} : { status }),
  };
  const html = prefersHtml(valuesOf(request.headers, 'accept').join(','));
  const body = html ? page(problem) : `${JSON.stringify(problem)}\n`;
  const headers = [
    'Content-Type',
    html ? 'text/html; charset=utf-8' : problemMediaType,
    'Content-Length',
    String(Buffer.byteLength(body)),
    // RFC 9110 6.6.1: whoever has a clock says when
    'Date',
    new Date().toUTCString(),
    'Cache-Control',
    'no-store',
    'X-Content-Type-Options',
    'nosniff',
    'X-Request-Id',
    request.requestId,
  ];
  if (problem.status === 503) headers.push('Retry-After', String(retryAfterSeconds));
  if (problem.status === 405) headers.push('Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS');
  return { status: problem.status, headers, body };
}

/** True when the client names HTML and wants it at least as much as JSON (RFC 9110 12.5.1). */
export function prefersHtml(accept: string): boolean {
  const html = qualityOf(accept, 'text/html');
  return html > 0 && html >= Math.max(qualityOf(accept, problemMediaType), qualityOf(accept, 'application/json'));
}

// Only an explicit mention counts: */* is what programs send.
function qualityOf(accept: string, type: string): number {
  for (const range of accept.toLowerCase().split(',')) {
    const [name = '', ...parameters] = range.split(';').map((part) => part.trim());
    if (name !== type) continue;
    const quality = parameters.find((parameter) => parameter.startsWith('q='));
    return quality === undefined ? 1 : Number(quality.slice(2)) || 0;
  }
  return 0;
}

function page(problem: Problem): string {
  const why = problem.why.map((line) => `<li>${escaped(line)}</li>`).join('');
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${problem.status} ${escaped(problem.title)}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:10vh auto;max-width:40rem;padding:0 1rem}code{color:#666}</style>
<h1>${problem.status} ${escaped(problem.title)}</h1>
<p>${escaped(problem.detail)}</p>
${why === '' ? '' : `<ul>${why}</ul>`}
<p>What next: ${escaped(problem.next)}.</p>
<p><code>${escaped(problem.code)} &middot; request ${escaped(problem.requestId ?? '')}</code></p>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

function cut(text: string): string {
  return text.length > 256 ? `${text.slice(0, 256)}...` : text;
}
