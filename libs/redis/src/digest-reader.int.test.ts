import { createLogger, systemClock } from '@switchyard/runtime';
import { eventually, startRedis, type TestRedis } from '@switchyard/testing';
import { Redis } from 'ioredis';
import { openDigestReader, type DigestReader } from './digest-reader.ts';

const logger = createLogger('test', { level: 'silent' });
const clock = systemClock;

/** Every key's hashes, sorted: what two nodes with the same data have in common. */
const hashesOf = async (reader: DigestReader, database = 0): Promise<readonly string[]> => {
  const found: string[] = [];
  await reader.scan(database, (hashes) => found.push(...(hashes.match(/.{36}/g) ?? [])));
  return found.sort();
};

describe('the digest of a node', () => {
  const nodes: TestRedis[] = [];
  const clients: Redis[] = [];
  const readers: DigestReader[] = [];
  let primary: TestRedis;
  let replica: TestRedis;
  let writer: Redis;
  const open = async (node: TestRedis): Promise<DigestReader> => {
    const reader = await openDigestReader({ host: node.host, port: node.port, logger, clock });
    readers.push(reader);
    return reader;
  };
  const client = (node: TestRedis): Redis => {
    const one = new Redis({ port: node.port, replyMapping: 'legacy' });
    clients.push(one);
    return one;
  };
  const inStep = (): Promise<void> =>
    eventually(async () => {
      expect(await replica.info('replication', 'slave_repl_offset')).toBe(
        await primary.info('replication', 'master_repl_offset'),
      );
    });

  beforeAll(async () => {
    primary = await startRedis();
    nodes.push(primary);
    // Another encoding of everything, as after a change of settings or a load of an old file.
    const args = [
      '--hash-max-listpack-entries',
      '0',
      '--zset-max-listpack-entries',
      '0',
      '--set-max-intset-entries',
      '0',
    ];
    replica = await startRedis({ replicaOf: primary, args });
    nodes.push(replica);
    writer = client(primary);
    await eventually(async () => (await replica.info('replication', 'master_link_status')) === 'up');
  }, 30_000);
  afterAll(async () => {
    for (const reader of readers) reader.close();
    for (const one of clients) one.disconnect();
    await Promise.all(nodes.map((node) => node.stop()));
  });
  beforeEach(() => writer.flushall());

  const fill = async (): Promise<void> => {
    const many = Array.from({ length: 3_000 }, (_none, at) => at);
    await writer.set(Buffer.from([0, 255, 10, 13, 254]), Buffer.from([1, 0, 255, 128]));
    await writer.set('empty', '');
    await writer.set('large', Buffer.alloc(300_000, 'abc'));
    await writer.set('temporary', 'x', 'EX', 1_000);
    for (const [name, numbers] of [
      ['small', many.slice(0, 20)],
      ['large', many],
    ] as const) {
      await writer.rpush(`list:${name}`, ...numbers.map((at) => `item ${at}`));
      await writer.sadd(`set:${name}`, ...numbers.map((at) => `member ${at}`));
      await writer.sadd(`numbers:${name}`, ...numbers);
      await writer.hset(`hash:${name}`, Object.fromEntries(numbers.map((at) => [`field ${at}`, `value ${at}`])));
      await writer.zadd(`zset:${name}`, ...numbers.flatMap((at) => [at / 7, `member ${at}`]));
      for (const at of numbers.slice(0, 800)) await writer.xadd(`stream:${name}`, '*', 'n', at, 'text', 'y'.repeat(60));
      await writer.xgroup('CREATE', `stream:${name}`, 'readers', '0');
      await writer.xreadgroup('GROUP', 'readers', 'me', 'COUNT', 300, 'STREAMS', `stream:${name}`, '>');
    }
    await writer.zadd('zset:extremes', 'inf', 'a', '-inf', 'b', '0.1', 'c', '1e300', 'd', '-0', 'e', '3', 'f');
    await writer.select(3);
    await writer.set('elsewhere', 'z');
    await writer.select(0);
    await inStep();
  };

  it('is the same on a replica, for every type, size, encoding and database', async () => {
    await fill();
    const [one, other] = [await open(primary), await open(replica)];
    expect(await replica.cli('OBJECT', 'ENCODING', 'hash:small')).toBe('hashtable');
    expect(await primary.cli('OBJECT', 'ENCODING', 'hash:small')).toBe('listpack');
    expect(await one.databases()).toEqual(
      new Map([
        [0, 17],
        [3, 1],
      ]),
    );
    const hashes = await hashesOf(one);
    expect(hashes).toHaveLength(17);
    expect(await hashesOf(other)).toEqual(hashes);
    expect(await hashesOf(other, 3)).toEqual(await hashesOf(one, 3));
  }, 20_000);

  it('of some keys is what it is in the digest of all, and says which are not there', async () => {
    await fill();
    const reader = await open(replica);
    const all = await hashesOf(reader);
    const names: Buffer[] = [];
    await reader.names(0, (some) => void names.push(...some));
    const { keys, nowMs } = await reader.keys(0, [...names, Buffer.from('nobody')]);
    expect(keys.slice(0, -1).map((key) => key?.hash)).toEqual(expect.arrayContaining(all.map((one) => one.slice(12))));
    expect(keys.at(-1)).toBeNull();
    expect(Math.abs(nowMs - Date.now())).toBeLessThan(2_000);
    const [temporary] = (await reader.keys(0, [Buffer.from('temporary')])).keys;
    expect(Number(temporary?.expiresAtMs) - Date.now()).toBeGreaterThan(900_000);
    expect(await reader.describe(0, Buffer.from('zset:large'))).toEqual({ type: 'zset', size: 3_000 });
    expect(await reader.describe(0, Buffer.from('nobody'))).toBeNull();
  }, 20_000);

  it.each([
    ['SET', 'empty', 'x'],
    ['SETRANGE', 'large', 299_999, 'z'],
    ['PEXPIREAT', 'temporary', 9_999_999_999_999],
    ['LSET', 'list:small', 7, 'other'],
    ['LSET', 'list:large', 2_999, 'other'],
    ['SMOVE', 'set:large', 'elsewhere', 'member 5'],
    ['SADD', 'numbers:large', 9_999],
    ['HSET', 'hash:small', 'field 1', 'other'],
    ['HSET', 'hash:large', 'field 2999', 'other'],
    ['ZADD', 'zset:small', '0.14285714285714288', 'member 1'],
    ['ZADD', 'zset:large', 5, 'member 2999'],
    ['ZADD', 'zset:extremes', '1.0000000000000002e300', 'd'],
    ['XTRIM', 'stream:small', 'MAXLEN', 19],
    ['XGROUP', 'SETID', 'stream:large', 'readers', '0'],
    ['XGROUP', 'DELCONSUMER', 'stream:small', 'readers', 'me'],
    ['RENAME', 'list:small', 'list:smaller'],
  ])(
    'tells a difference of one %s of %s',
    async (...command) => {
      await fill();
      const reader = await open(replica);
      const before = await hashesOf(reader);
      await replica.cli('CONFIG', 'SET', 'replica-read-only', 'no');
      await replica.cli(...command);
      await replica.cli('CONFIG', 'SET', 'replica-read-only', 'yes');
      const after = await hashesOf(reader);
      const gone = before.filter((hash) => !after.includes(hash));
      expect(gone).toHaveLength(1);
      // What was changed on the replica alone does not go away with what the primary deletes.
      await replica.cli('REPLICAOF', 'NO', 'ONE');
      await replica.cli('REPLICAOF', primary.host, primary.port);
      await eventually(async () => (await replica.info('replication', 'master_link_status')) === 'up');
    },
    20_000,
  );

  it('tells the order of a list, and which key has which value', async () => {
    await writer.rpush('list', 'a', 'b');
    await writer.mset('one', '1', 'two', '2');
    const reader = await open(primary);
    const before = await hashesOf(reader);
    await writer.multi().del('list').rpush('list', 'b', 'a').mset('one', '2', 'two', '1').exec();
    expect((await hashesOf(reader)).filter((hash) => before.includes(hash))).toEqual([]);
  });

  it('leaves out what has expired, also on a replica that still keeps it', async () => {
    await writer.set('short', 'x', 'PX', 60);
    await inStep();
    primary.freeze();
    try {
      const reader = await open(replica);
      await eventually(async () => expect(await hashesOf(reader)).toEqual([]));
      expect((await reader.keys(0, [Buffer.from('short')])).keys).toEqual([null]);
    } finally {
      primary.resume();
    }
  });

  it('writes nothing, and says what a user lacks who may not read that way', async () => {
    await writer.set('key', 'x');
    await writer.acl('SETUSER', 'narrow', 'on', '>secret', '~*', '+@read', '+select', '+client', '+info');
    const reader = await openDigestReader({
      host: primary.host,
      port: primary.port,
      access: { username: 'narrow', password: 'secret' },
      logger,
      clock,
    });
    readers.push(reader);
    const offset = await reader.offset();
    await expect(hashesOf(reader)).rejects.toThrow('+evalsha_ro');
    await hashesOf(await open(primary));
    expect(await reader.offset()).toBe(offset);
  });

  it('reads a zset of 300,000 elements in portions that hold up nobody', async () => {
    const script = "for i = 1, 20000 do redis.call('ZADD', KEYS[1], i + ARGV[1], 'member ' .. (i + ARGV[1])) end";
    for (let at = 0; at < 300_000; at += 20_000) await writer.eval(script, 1, 'huge', at);
    const reader = await open(primary);
    expect(await hashesOf(reader)).toHaveLength(1);
    expect(reader.pace.measured().calls).toBeGreaterThan(250);
    // In one go it would be half a second; how long a call waits for a busy machine is not ours to say.
    expect(reader.pace.measured().p99Ms).toBeLessThan(50);
  }, 30_000);
});
