import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { parseKeys } from './encryption-keys.ts';

describe('parseKeys', () => {
  it('reads hex and base64, passes over comments, and encrypts with the first', () => {
    const [one, two] = [randomBytes(32), randomBytes(32)];
    const keys = parseKeys(`# since 2026\n\n${one.toString('hex')}  # the new one\n${two.toString('base64')}\n`);
    const other = parseKeys(`${two.toString('hex')}\n${one.toString('base64url')}`);
    expect(keys.current?.id).toMatch(/^[0-9a-f]{16}$/);
    const { id = '', key } = keys.current ?? {};
    expect(key !== undefined && other.find(id)?.key.equals(key)).toBe(true);
    expect(keys.find(other.current?.id ?? '')).toBeDefined();
    expect(keys.find('0'.repeat(16))).toBeUndefined();
  });

  it.each([
    '',
    '# only a comment',
    'abc',
    'g'.repeat(64),
    'ab'.repeat(33),
    'A'.repeat(42),
    '-----BEGIN PRIVATE KEY-----',
  ])('refuses %j without repeating it', (text) => {
    expect(() => parseKeys(text)).toThrow(/key file/);
    if (text.length > 10) expect(() => parseKeys(text)).not.toThrow(new RegExp(text.slice(0, 10)));
  });

  it('shows no key in what a log would print', () => {
    const secret = randomBytes(32);
    const keys = parseKeys(secret.toString('hex'));
    const shown = `${inspect(keys, { depth: 9 })} ${JSON.stringify(keys)} ${inspect(keys.current, { showHidden: true })}`;
    expect(shown).not.toContain(secret.toString('hex'));
    expect(shown).not.toContain(secret.toString('base64'));
  });
});
