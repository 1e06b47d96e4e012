import { ok, refuse } from '@switchyard/protocol';
import type { DrainView } from '@switchyard/protocol';
import { inTurn } from './registrar.ts';
import type { Registrar } from './registrar.ts';

const signal = new AbortController().signal;

function registrar(name: string, calls: string[], away = false): Registrar {
  const answer = async <T>(call: string, value: T): Promise<T> => {
    calls.push(`${name}.${call}`);
    if (away) throw new Error(`${name} is away`);
    return value;
  };
  return {
    register: () => answer('register', ok(name)),
    beat: () => answer('beat', 'known' as const),
    drain: (reason) => answer(`drain(${reason})`, ok(name)),
    deregister: (reason) => answer(`deregister(${reason})`, ok(name)),
  };
}

describe('inTurn', () => {
  it('does not bother the second while the first can be reached', async () => {
    const calls: string[] = [];
    const both = inTurn(registrar('http', calls), registrar('redis', calls));

    await both.register(signal);
    await both.beat(signal);
    await both.drain('why', signal);
    await both.deregister('why', signal);

    expect(calls).toEqual(['http.register', 'http.beat', 'http.drain(why)', 'http.deregister(why)']);
  });

  it('asks the second when the first is away', async () => {
    const calls: string[] = [];
    const both = inTurn(registrar('http', calls, true), registrar('redis', calls));

    expect(await both.register(signal)).toEqual(ok('redis'));
    expect(await both.beat(signal)).toBe('known');
    expect(calls).toEqual(['http.register', 'redis.register', 'http.beat', 'redis.beat']);
  });

  it('names both reasons when both are away', async () => {
    const both = inTurn(registrar('http', [], true), registrar('redis', [], true));

    await expect(both.beat(signal)).rejects.toThrow('http is away; redis is away');
  });

  it('takes a refusal for an answer', async () => {
    const calls: string[] = [];
    const refusing: Registrar = { ...registrar('http', calls), register: async () => refuse('invalid_input', 'no') };

    expect(await inTurn(refusing, registrar('redis', calls)).register(signal)).toMatchObject({ ok: false });
    expect(calls).toEqual([]);
  });

  it('asks nobody else once the time is over', async () => {
    const calls: string[] = [];
    const both = inTurn(registrar('http', calls, true), registrar('redis', calls));

    await expect(both.beat(AbortSignal.abort(new Error('late')))).rejects.toThrow('http is away');
    expect(calls).toEqual(['http.beat']);
  });

  it('asks whoever can tell who has let go', async () => {
    const calls: string[] = [];
    const http = registrar('http', calls);
    const view = { done: true } as DrainView;
    const redis: Registrar = { ...registrar('redis', calls), drained: () => Promise.resolve(ok(view)) };

    expect(await inTurn(http, redis).drained?.(signal)).toEqual(ok(view));
    expect(await inTurn(redis, http).drained?.(signal)).toEqual(ok(view));
    await expect(inTurn(http, http).drained?.(signal)).rejects.toThrow('this way does not tell who has let go');
  });
});
