import { request } from 'node:http';
import type { Socket } from 'node:net';
import { channels, doubtSchema, keys, livenessReplySchema, memberOf } from '@switchyard/protocol';
import type { Doubt, LivenessReply } from '@switchyard/protocol';
import { createRedis, keepSubscribed } from '@switchyard/redis';
import type { RedisConnections } from '@switchyard/redis';
import { createLogger } from '@switchyard/runtime';
import { eventually, startRedis } from '@switchyard/testing';
import type { TestRedis } from '@switchyard/testing';
import { problemIn, startRegistry } from './registry-fixture.ts';
import type { TestRegistry } from './registry-fixture.ts';

interface Agent {
  readonly socket: Socket;
  readonly heard: LivenessReply[];
  say(line: object | string): void;
  over(): boolean;
}

const agents: Agent[] = [];
const connect = (url: string): Promise<Agent> =>
  new Promise((resolve, reject) => {
    const req = request(`${url}/v1/liveness`, { headers: { connection: 'Upgrade', upgrade: 'switchyard-liveness' } });
    req.on('response', (res) => reject(new Error(`refused with ${String(res.statusCode)}`)));
    req.on('error', reject);
    req.on('upgrade', (_res, socket) => {
      const heard: LivenessReply[] = [];
      let over = false;
      socket.on('data', (chunk: Buffer) => {
        for (const line of chunk.toString().split('\n').filter(Boolean))
          heard.push(livenessReplySchema.parse(JSON.parse(line)));
      });
      socket.on('close', () => (over = true));
      socket.on('error', () => undefined);
      const say = (line: object | string): void =>
        void socket.write(typeof line === 'string' ? line : `${JSON.stringify(line)}\n`);
      const agent = { socket, heard, say, over: () => over };
      agents.push(agent);
      resolve(agent);
    });
    req.end();
  });

describe('the liveness connection', () => {
  let redis: TestRedis;
  let registry: TestRegistry;
  let connections: RedisConnections;
  const doubts: Doubt[] = [];
  const doubtsOf = (id: string): Doubt[] => doubts.filter((doubt) => doubt.id === id);
  const at = (id: string): string => `/v1/services/shop/instances/${id}`;
  const register = async (id: string, more: object = {}): Promise<void> => {
    const { status } = await registry.api.put(at(id)).send({ url: 'http://127.0.0.1:9', ttl: '900ms', ...more });
    expect(status).toBe(201);
  };
  const hello = async (id: string): Promise<Agent> => {
    const agent = await connect(registry.url);
    agent.say({ type: 'hello', service: 'shop', id });
    return agent;
  };
  const member = async (id: string): Promise<Agent> => {
    await register(id);
    const agent = await hello(id);
    await eventually(() => agent.heard.length > 0);
    return agent;
  };
  const deadline = async (id: string): Promise<number> =>
    Number(await redis.cli('ZSCORE', keys.deadlines, memberOf('shop', id)));
  /** Long enough for whatever should not come. */
  const aMoment = (): Promise<void> =>
    new Promise((resolve) => {
      setTimeout(resolve, 250);
    });

  beforeAll(async () => {
    redis = await startRedis();
    registry = await startRegistry(redis.port);
    const logger = createLogger('test', { level: 'silent' });
    const endpoint = { host: '127.0.0.1', port: redis.port };
    connections = createRedis({ kind: 'single', endpoint, group: 'main' }, { logger, name: 'witness' });
    const subscriber = connections.connect('subscriber');
    subscriber.on('message', (_channel, text: string) => doubts.push(doubtSchema.parse(JSON.parse(text))));
    keepSubscribed(subscriber, [channels.doubt]);
    await eventually(async () => String(await redis.cli('PUBSUB', 'NUMSUB', channels.doubt)).endsWith('1'));
  });
  afterAll(async () => {
    for (const { socket } of agents) socket.destroy();
    await registry.stop();
    await connections.stop();
    await redis.stop();
  });

  it('tells the role, moves the deadline with each beat, and answers each', async () => {
    const agent = await member('beats');
    expect(agent.heard).toEqual([{ type: 'role', role: 'member' }]);
    const first = await deadline('beats');
    await aMoment();

    agent.say({ type: 'beat' });
    agent.say({ type: 'beat' });

    await eventually(() => agent.heard.length === 3);
    expect(agent.heard.slice(1)).toEqual([{ type: 'heard' }, { type: 'heard' }]);
    expect(await deadline('beats')).toBeGreaterThan(first);
  });

  it('tells both of a hand-over what they are now, the active one with its fencing token', async () => {
    await registry.api.put('/v1/services/pair').send({ mode: 'active-standby' });
    const [one, other] = await Promise.all(
      ['one', 'other'].map(async (id) => {
        await registry.api.put(`/v1/services/pair/instances/${id}`).send({ url: 'http://127.0.0.1:9', ttl: '60s' });
        const agent = await connect(registry.url);
        agent.say({ type: 'hello', service: 'pair', id });
        await eventually(() => agent.heard.length > 0);
        return agent;
      }),
    );
    expect([one?.heard, other?.heard]).toEqual([
      [{ type: 'role', role: 'standby' }],
      [{ type: 'role', role: 'standby' }],
    ]);

    for (const to of ['one', 'other']) await registry.api.post('/v1/services/pair/handover').send({ to });

    const { fencingToken } = (await registry.api.get('/v1/services/pair/active')).body;
    await eventually(() => expect(one?.heard.at(-1)).toEqual({ type: 'role', role: 'standby' }));
    await eventually(() => expect(other?.heard.at(-1)).toEqual({ type: 'role', role: 'active', fencingToken }));
    expect(one?.heard).toMatchObject([{}, { role: 'active' }, { role: 'standby' }]);
  });

  it('makes no revision and no event by beats and loads, which are shown all the same', async () => {
    const agent = await member('busy');
    const before = [await redis.cli('HGET', keys.catalogMeta, 'revision'), await redis.cli('XLEN', keys.events)];

    agent.say({ type: 'beat', load: { inflight: 7, utilization: 0.5, lagMs: 2_300 } });

    await eventually(() => agent.heard.at(-1)?.type === 'heard');
    const { body } = await registry.api.get(at('busy'));
    expect(body).toMatchObject({ load: { inflight: 7, utilization: 0.5, lagMs: 2_300, at: expect.any(String) } });
    expect(body.warnings).toEqual(['its event loop is 2300 ms late: requests wait that long']);
    await eventually(async () => (await redis.cli('HEXISTS', keys.loads, memberOf('shop', 'busy'))) === 1);
    expect([await redis.cli('HGET', keys.catalogMeta, 'revision'), await redis.cli('XLEN', keys.events)]).toEqual(
      before,
    );

    agent.say({ type: 'beat', load: { inflight: 0, lagMs: 0 } });
    await eventually(async () => (await registry.api.get(at('busy'))).body.warnings.length === 0);
    await registry.api.delete(at('busy'));
    await eventually(async () => (await redis.cli('HEXISTS', keys.loads, memberOf('shop', 'busy'))) === 0);
  });

  it('shows loads that another registry was told, and null when there are none', async () => {
    await register('elsewhere');
    const load = { inflight: 3, atMs: Date.now() };
    await redis.cli('HSET', keys.loads, memberOf('shop', 'elsewhere'), JSON.stringify(load));
    await eventually(async () => (await registry.api.get(at('elsewhere'))).body.load?.inflight === 3);

    await redis.cli('HSET', keys.loads, memberOf('shop', 'elsewhere'), 'nonsense');
    await eventually(async () => (await registry.api.get(at('elsewhere'))).body.load === null);

    await redis.cli('HSET', keys.loads, 'shop/never-registered', JSON.stringify({ ...load, atMs: 0 }));
    await eventually(async () => {
      await registry.api.get('/v1/services/shop/instances');
      return (await redis.cli('HEXISTS', keys.loads, 'shop/never-registered')) === 0;
    });
  });

  it('says "unknown" to whom nobody registered, and to whom the catalog forgets', async () => {
    const stranger = await hello('stranger');
    await eventually(() => stranger.heard.at(-1)?.type === 'unknown');
    const forgotten = await member('forgotten');

    await registry.api.delete(at('forgotten'));
    forgotten.say({ type: 'beat' });

    await eventually(() => forgotten.heard.at(-1)?.type === 'unknown');
    expect(forgotten.over()).toBe(false);
  });

  it.each<[string, (socket: Socket) => void]>([
    ['closed', (socket) => socket.end()],
    ['reset', (socket) => socket.resetAndDestroy()],
  ])('that is %s without a goodbye raises one doubt', async (how, end) => {
    const agent = await member(`cut-${how}`);

    end(agent.socket);

    await eventually(() => doubtsOf(`cut-${how}`).length === 1);
    expect(doubtsOf(`cut-${how}`)).toEqual([
      {
        service: 'shop',
        id: `cut-${how}`,
        because: 'connection-closed',
        detail: expect.stringMatching(/^its liveness connection /),
        witness: 'registry-test',
      },
    ]);
    await aMoment();
    expect(doubtsOf(`cut-${how}`)).toHaveLength(1);
  });

  it('raises no doubt after a goodbye, nor for an instance that has left, nor for a stranger', async () => {
    const polite = await member('polite');
    polite.say({ type: 'bye' });
    await eventually(() => polite.over());
    const left = await member('left');
    await registry.api.delete(at('left'));
    left.socket.end();
    const stranger = await hello('nobody');
    await eventually(() => stranger.heard.length === 1);
    stranger.socket.end();

    await aMoment();

    expect([...doubtsOf('polite'), ...doubtsOf('left'), ...doubtsOf('nobody')]).toEqual([]);
  });

  it('counts the newer one of two for an instance, and raises no doubt at the end of the older one', async () => {
    const older = await member('twice');
    const newer = await hello('twice');
    await eventually(() => older.over());
    await aMoment();
    expect(doubtsOf('twice')).toEqual([]);

    newer.socket.destroy();

    await eventually(() => doubtsOf('twice').length === 1);
  });

  it('pushes a change of the role', async () => {
    await register('role', { role: 'standby' });
    const agent = await hello('role');
    await eventually(() => agent.heard.length === 1);
    await registry.api.put(at('role')).send({ url: 'http://127.0.0.1:9', ttl: '900ms', role: 'active' });

    await eventually(() => agent.heard.length === 2);
    expect(agent.heard).toMatchObject([
      { type: 'role', role: 'standby' },
      { type: 'role', role: 'active' },
    ]);
  });

  it.each([
    ['nonsense', 'nonsense\n', 'the line is not JSON'],
    ['an unknown type', '{"type":"dance"}\n', 'the line'],
    ['an unknown field', '{"type":"hello","service":"shop","id":"x","more":1}\n', 'more'],
    [
      'a load that cannot be',
      '{"type":"hello","service":"shop","id":"z"}\n{"type":"beat","load":{"lagMs":-1}}\n',
      'lagMs',
    ],
    ['a beat before the hello', '{"type":"beat"}\n', 'hello comes first'],
    ['a second hello', '{"type":"hello","service":"shop","id":"y"}\n'.repeat(2), 'hello comes once'],
    ['a line without an end', 'x'.repeat(5_000), 'a line is longer than 4096 characters'],
  ])('ends at %s, and says why', async (_what, line, words) => {
    const agent = await connect(registry.url);

    agent.say(line);

    await eventually(() => agent.over());
    const reply = agent.heard.at(-1);
    expect(reply?.type).toBe('failed');
    expect(reply).toMatchObject({ detail: expect.stringContaining(words) });
  });

  it('ends a connection on which nothing was heard for three times to live, without a doubt', async () => {
    const silent = await member('silent');

    await eventually(() => silent.over(), { timeoutMs: 5_000 });

    expect(doubtsOf('silent')).toEqual([]);
  });

  it('answers 426 to a client that asks for no upgrade', async () => {
    const answer = await registry.api.get('/v1/liveness');

    expect(problemIn(answer)).toMatchObject({ status: 426, code: 'upgrade_required' });
    expect(answer.headers['upgrade']).toBe('switchyard-liveness');
  });

  it('takes beats of many at once, and names those that are unknown', async () => {
    await register('many-1');
    await register('many-2');
    const beats = ['many-1', 'ghost', 'many-2'].map((id) => ({ service: 'shop', id, load: { inflight: 5 } }));
    const { status, body } = await registry.api.post('/v1/heartbeats').send({ beats });

    expect([status, body]).toEqual([200, { unknown: [{ service: 'shop', id: 'ghost' }] }]);
    expect((await registry.api.get(at('many-2'))).body.load).toMatchObject({ inflight: 5 });
  });

  it.each([
    [{}, 'beats'],
    [{ beats: [] }, 'beats'],
    [{ beats: [{ service: 'shop' }] }, 'beats.0.id'],
    [{ beats: [{ service: 'Shop!', id: 'a' }] }, 'beats.0.service'],
    [{ beats: Array.from({ length: 1_001 }, () => ({ service: 'shop', id: 'a' })) }, 'beats'],
  ])('refuses a batch that is none: %#', async (body, field) => {
    const problem = problemIn(await registry.api.post('/v1/heartbeats').send(body));

    expect(problem.code).toBe('invalid_input');
    expect(problem.why.join()).toContain(field);
  });

  it('says that a beat was not heard while Redis is away, and goes on afterwards', async () => {
    const agent = await member('outage');
    redis.freeze();
    agent.say({ type: 'beat' });
    await eventually(() => agent.heard.at(-1)?.type === 'failed', { timeoutMs: 5_000 });
    redis.resume();

    await eventually(
      () => {
        agent.say({ type: 'beat' });
        return agent.heard.at(-1)?.type === 'heard';
      },
      { timeoutMs: 8_000, intervalMs: 200 },
    );
    expect(agent.over()).toBe(false);
  });

  it('ends when the registry stops, which raises no doubt', async () => {
    const second = await startRegistry(redis.port);
    await register('moving');
    const agent = await connect(second.url);
    agent.say({ type: 'hello', service: 'shop', id: 'moving' });
    await eventually(() => agent.heard.length === 1);

    await second.stop();

    await eventually(() => agent.over());
    await aMoment();
    expect(doubtsOf('moving')).toEqual([]);
  });
});
