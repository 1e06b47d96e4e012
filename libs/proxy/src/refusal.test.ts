import { problemSchema } from '@switchyard/protocol';
import { valueOf } from './header-list.ts';
import { prefersHtml, refusalAnswer } from './refusal.ts';

const refusal = {
  code: 'no_instance',
  detail: 'No instance of <shop>.',
  why: ['a: "draining"', 'b: evicted'],
} as const;
const request = { requestId: 'r1', path: '/x', headers: [] };

describe('a refusal', () => {
  it('is a problem document with code, reasons, request and next step', () => {
    const answer = refusalAnswer(refusal, request);
    const problem = problemSchema.parse(JSON.parse(answer.body));
    expect(problem).toMatchObject({
      status: 503,
      code: 'no_instance',
      why: refusal.why,
      requestId: 'r1',
      instance: '/x',
    });
    expect(problem.next).not.toBe('');
    expect(valueOf(answer.headers, 'content-type')).toBe('application/problem+json');
    expect(valueOf(answer.headers, 'content-length')).toBe(String(Buffer.byteLength(answer.body)));
    expect(valueOf(answer.headers, 'retry-after')).toBe('1');
    expect(Date.parse(valueOf(answer.headers, 'date') ?? '')).toBeGreaterThan(Date.now() - 60_000);
  });

  it('is a page with everything escaped for a browser', () => {
    const answer = refusalAnswer(refusal, { ...request, headers: ['Accept', 'text/html,application/json;q=0.9'] });
    expect(valueOf(answer.headers, 'content-type')).toBe('text/html; charset=utf-8');
    expect(answer.body).toContain('&#60;shop&#62;');
    expect(answer.body).toContain('a: &#34;draining&#34;');
  });

  it('carries the status that HTTP has for it', () => {
    const answer = refusalAnswer({ code: 'timed_out', detail: 'x' }, request, 408);
    expect([answer.status, JSON.parse(answer.body).status]).toEqual([408, 408]);
  });
});

describe('prefersHtml', () => {
  it.each([
    ['', false],
    ['*/*', false],
    ['application/json', false],
    ['text/html', true],
    ['text/html;q=0', false],
    ['text/html;q=0.5, application/json', false],
    ['application/json;q=0.5, TEXT/HTML', true],
    ['text/html,application/xhtml+xml,*/*;q=0.8', true],
    ['text/html;q=nonsense', false],
  ])('judges %j as %s', (accept, expected) => {
    expect(prefersHtml(accept)).toBe(expected);
  });
});
