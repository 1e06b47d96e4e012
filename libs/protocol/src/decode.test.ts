import { z } from 'zod';
import { decode, decodeJson } from './decode.ts';

const schema = z.strictObject({ name: z.string().min(1), size: z.int(), tags: z.array(z.string()).default([]) });

describe('decode', () => {
  it('hands back the value with its defaults', () => {
    expect(decode(schema, { name: 'a', size: 1 })).toEqual({ ok: true, value: { name: 'a', size: 1, tags: [] } });
  });

  it('names every fault with its place at once', () => {
    const decoded = decode(schema, { name: '', size: 1.5, tags: ['x', 7], colour: 'red' }, 'the body');

    expect(decoded).toMatchObject({ ok: false, error: { code: 'invalid_input' } });
    const { detail, why } = decoded.ok ? { detail: '', why: [] } : decoded.error;
    expect(detail).toMatch(/^the body is not valid: name: /);
    expect(why?.map((fault) => fault.split(':')[0])).toEqual(['name', 'size', 'tags.1', 'the document']);
    expect(why?.join('\n')).toContain('colour');
  });

  it('says "the document" where there is no field to name', () => {
    expect(decode(schema, null)).toMatchObject({ error: { why: [expect.stringMatching(/^the document: /)] } });
  });

  it('bounds what it tells, however wrong the input is', () => {
    const strings = z.object({ list: z.array(z.string()) });

    const many = decode(strings, { list: Array.from({ length: 5_000 }, () => 0) });
    const long = decode(schema, { name: 'a', size: 1, ['x'.repeat(100_000)]: 1 });

    expect(many.ok ? [] : many.error.why).toHaveLength(21);
    expect(many).toMatchObject({ error: { why: expect.arrayContaining(['and 4980 more']) } });
    expect(JSON.stringify(long).length).toBeLessThan(1_000);
  });

  it('keeps nothing of what would change a prototype', () => {
    const loose = z.looseObject({ name: z.string() });

    const decoded = decode(loose, JSON.parse('{"name":"a","__proto__":{"admin":true}}'));

    expect(decoded.ok && (decoded.value as { admin?: boolean }).admin).toBeUndefined();
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });
});

describe('decodeJson', () => {
  it('reads text', () => {
    expect(decodeJson(schema, '{"name":"a","size":1}')).toMatchObject({ ok: true });
  });

  it.each(['', '{', '{"name":"a",}', 'undefined', '\u0000', 'NaN'])('refuses %j as no JSON', (text) => {
    expect(decodeJson(schema, text)).toMatchObject({ ok: false, error: { code: 'malformed_json' } });
  });

  it('shows the beginning of the text, not all of it', () => {
    const decoded = decodeJson(schema, `oops${'x'.repeat(1_000_000)}`);

    expect(decoded.ok ? '' : decoded.error.detail).toMatch(/oopsx+/);
    expect(JSON.stringify(decoded).length).toBeLessThan(300);
  });
});
