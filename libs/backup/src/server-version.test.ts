import { parseServer, serverText, whyNotReadable, type ServerVersion } from './server-version.ts';

const server = (text: string): ServerVersion => {
  const found = parseServer(text);
  if (found === undefined) throw new Error(`no server: ${text}`);
  return found;
};

describe('whyNotReadable', () => {
  it.each([
    ['redis 7.0.15', 'redis 7.0.15'],
    ['redis 7.0.15', 'redis 7.0.2'],
    ['redis 6.2.14', 'redis 8.2.1'],
    ['redis 7.2.5', 'valkey 7.2.4'],
    ['redis 7.0.15', 'valkey 9.0.0'],
    ['valkey 8.1.0', 'redis 7.2.5'],
    ['valkey 8.1.0', 'valkey 9.0.0'],
  ])('lets data of %s be read by %s', (writer, loader) => {
    expect(whyNotReadable(server(writer), server(loader))).toBeNull();
  });

  it.each([
    ['redis 7.2.5', 'redis 7.0.15', 'older'],
    ['redis 8.0.0', 'redis 7.4.1', 'older'],
    ['redis 7.10.0', 'redis 7.9.0', 'older'],
    ['redis 7.4.0', 'valkey 9.0.0', 'Valkey reads Redis up to 7.2'],
    ['valkey 9.0.0', 'valkey 8.1.3', 'older'],
    ['valkey 9.0.0', 'redis 8.2.0', 'Redis reads Valkey up to 8.1'],
    ['valkey 7.2.4', 'redis 7.0.15', 'Redis 7.2 or newer'],
  ])('does not let data of %s be read by %s', (writer, loader, why) => {
    const reason = whyNotReadable(server(writer), server(loader));
    expect(reason).toContain(why);
    expect(reason).toContain(writer);
    expect(reason).toContain(loader);
  });

  it('trusts nobody whose version is no number, and everybody to read such data', () => {
    expect(whyNotReadable(server('redis 7.0.15'), { kind: 'redis', version: 'unstable' })).not.toBeNull();
    expect(whyNotReadable({ kind: 'redis', version: 'unstable' }, server('redis 7.0.15'))).toBeNull();
  });
});

describe('parseServer', () => {
  it('reads what serverText writes, and nothing else', () => {
    for (const text of ['redis 7.0.15', 'valkey 8.1.0-rc1']) expect(serverText(server(text))).toBe(text);
    for (const text of ['', 'redis', 'keydb 6.3.1', 'redis x', 'redis 7.0.15 more'])
      expect(parseServer(text)).toBeUndefined();
  });
});
