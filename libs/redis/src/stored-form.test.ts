// Is what lies in Redis short, complete when it is read again, and is what earlier versions wrote still read?
import { readdirSync, readFileSync } from 'node:fs';
import { eventSchema, memberOf, storedInstanceSchema } from '@switchyard/protocol';
import type { StoredInstance } from '@switchyard/protocol';
import { eventOf, packEvent, packInstance, storedInstance, streamEntry, unpackInstance } from './stored-form.ts';

const usual: StoredInstance = {
  service: 'shop',
  id: 'a.b',
  url: 'http://10.0.0.5:3000',
  weight: 1,
  declaredWeight: 1,
  meta: {},
  ttlMs: 3_000,
  role: 'member',
  intent: 'in-service',
  liveness: 'alive',
  sinceMs: 1_767_323_045_678,
  incarnation: 1,
};
const member = memberOf(usual.service, usual.id);

const fixtures = new URL('../../protocol/src/fixtures/', import.meta.url);
const golden = (kind: string): [string, string][] =>
  readdirSync(fixtures).flatMap((version) =>
    readdirSync(new URL(`${version}/`, fixtures))
      .filter((file) => file.startsWith(`${kind}.`))
      .map((file): [string, string] => [file, readFileSync(new URL(`${version}/${file}`, fixtures), 'utf8')]),
  );

describe('a stored instance', () => {
  it('has nothing in it that is usual or that its key says', () => {
    expect(packInstance(usual)).toBe('{"u":"http://10.0.0.5:3000","s":1767323045678}');
  });

  it.each([
    ['all usual', usual],
    ['a patched weight', { ...usual, weight: 0 }],
    ['a declared weight', { ...usual, weight: 5, declaredWeight: 5 }],
    ['a patch back to 1', { ...usual, weight: 1, declaredWeight: 5 }],
    [
      'everything else',
      { ...usual, zone: 'z', version: 'v', meta: { u: 'x' }, ttlMs: 500, role: 'standby', incarnation: 9 },
    ],
    [
      'a suspect',
      { ...usual, liveness: 'suspect', livenessReason: 'silent', suspectedBy: 'silence', intent: 'draining' },
    ],
    ['a check', { ...usual, check: { type: 'http', path: '/x', interval: '1s' } }],
    ['another check', { ...usual, check: { type: 'tcp' } }],
    ['a token', { ...usual, role: 'active', fencingToken: -1 }],
  ] as [string, StoredInstance][])('is complete again: %s', (_what, instance) => {
    expect(unpackInstance(member, packInstance(instance))).toEqual(storedInstanceSchema.parse(instance));
  });

  it.each(golden('stored-instance'))('is read as earlier versions wrote it: %s', (_file, text) => {
    const document = JSON.parse(text) as StoredInstance;
    const key = memberOf(document.service, document.id);

    expect(storedInstance(key, `7|${text}`)).toEqual({ ...storedInstanceSchema.parse(document), revision: 7 });
    // and written anew loses nothing
    expect(unpackInstance(key, packInstance(document))).toEqual(storedInstanceSchema.parse(document));
  });
});

describe('the forms that lie in some Redis and have to be read for ever', () => {
  it('are read: short', () => {
    const text =
      '{"u":"http://10.0.0.5:3000","w":2,"d":5,"z":"eu","v":"1.4","m":{"node":"n1"},"t":500,"c":{"path":"/x"},"s":1767323045678,"liveness":"suspect"}';
    const instance = {
      ...usual,
      weight: 2,
      declaredWeight: 5,
      zone: 'eu',
      version: '1.4',
      meta: { node: 'n1' },
      ttlMs: 500,
      check: { type: 'http', path: '/x' },
      liveness: 'suspect',
    };
    const head = ['e', '1767323045678', 't', '1767323045679', 'y', 'suspected', 's', 'm1', 'j', member];
    const fields = [...head, 'i', text, 'x', '{"evidence":{"because":"silence","detail":"silent"}}'];

    expect(unpackInstance(member, text)).toEqual(instance);
    expect(eventOf(streamEntry(['7-0', fields]))).toEqual({
      id: '1767323045678.7',
      epoch: 1_767_323_045_678,
      revision: 7,
      specversion: '1.0',
      source: 'm1',
      time: '2026-01-02T03:04:05.679Z',
      type: 'instance.suspected',
      subject: member,
      data: { instance, evidence: { because: 'silence', detail: 'silent' } },
    });
  });
});

describe('an event in the stream', () => {
  it.each(golden('event'))('is the same as before, in the old form and in the new one: %s', (_file, text) => {
    const event = eventSchema.parse(JSON.parse(text));
    const id = `${event.revision}-0`;
    const kept = ['e', String(event.epoch), 't', String(Date.parse(event.time))];
    const fields = [...kept, ...packEvent(event, event.source)];
    const expected = { ...event, id: `${event.epoch}.${event.revision}`, time: new Date(event.time).toISOString() };

    expect(eventOf(streamEntry([id, ['e', text]]))).toEqual(event);
    expect(eventOf(streamEntry([id, fields]))).toEqual(expected);
    expect(streamEntry([id, [...fields, 'u', '[]']]).undo).toBe('[]');
  });

  it('is undefined when a later version wrote it', () => {
    expect(
      eventOf(streamEntry(['3-0', ['e', '1', 't', '1', 'y', 'weather.changed', 's', 'x', 'j', 'y', 'd', '{}']])),
    ).toBeUndefined();
    expect(eventOf(streamEntry(['3-0', ['z', 'what']]))).toBeUndefined();
  });
});
