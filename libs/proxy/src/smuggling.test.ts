// Does anybody get a request past us that we did not see, or an answer that is not theirs? Published attacks, each a named fixture,
// against the engine in front of two origins, cut into segments in three ways. Whatever the engine does not refuse has to be the
// same requests to a strict reader, to node:http, and to every loose reader that has been found in the field.
import { readAnswers, readRequests, looseReadings, strictReading } from './reading-fixture.ts';
import { startYard, type Yard } from './proxy-fixture.ts';
import {
  assail,
  bareWitness,
  readPayloads,
  strictWitness,
  type Cutting,
  type Payload,
  type Witness,
} from './smuggling-fixture.ts';

const payloads = readPayloads('requests-');
/** Longer ones are not sent byte by byte. */
const longestTrickle = 600;

let count = 0;
const canary = (): string => `/canary-${(count += 1)}`;
const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** Another client asks for something harmless, over the same connections to the instance. */
async function expectHealthy(yard: Yard): Promise<void> {
  const target = canary();
  const own = `[GET ${target}]`;
  const { text } = await assail(yard.port, [get(target)], {
    cutting: 'whole',
    enough: (heard) => heard.endsWith(own),
    ms: 2_000,
  });
  const { answers, rest } = readAnswers(text, ['GET'], false);
  expect(answers.map(({ status, body }) => [status, body])).toEqual([[200, own]]);
  expect(rest).toBe('');
}

async function expectNoDesync(payload: Payload, { yard, witness }: Stage, cutting: Cutting): Promise<void> {
  witness.forget();
  const behind = canary();
  const { meant, ending } = payload;
  const own = `[GET ${behind}]`;
  const heard = await assail(yard.port, payload.pieces, {
    cutting,
    behind: get(behind),
    enough: (text) => text.endsWith(own),
    ms: ending === 'waits' ? 80 : 3_000,
  });
  await expectHealthy(yard);

  const expected = meant.map(({ method, target }) => [200, method === 'HEAD' ? '' : `[${method} ${target}]`]);
  const methods = [...meant.map(({ method }) => method), 'GET'];
  const { answers, rest } = readAnswers(heard.text, methods, heard.ended);
  const [statuses, last] = [answers.slice(0, meant.length), answers.slice(meant.length)];
  expect(statuses.map(({ status, body }) => [status, body])).toEqual(expected);
  expect(rest).toBe('');
  if (ending === 'open') expect(last.map(({ body }) => body)).toEqual([own]);
  else if (ending === 'refused') {
    expect(last).toHaveLength(1);
    expect(last[0]?.head).toMatch(/^content-type: application\/problem\+json\r$/im);
    expect(last[0]?.head).toMatch(/^connection: close\r$/im);
    expect(heard.ended).toBe(true);
    if (payload.status === undefined) expect(last[0]?.status).toBeGreaterThanOrEqual(400);
    else expect(last[0]?.status).toBe(payload.status);
  } else expect(last).toEqual([]);
  if (ending === 'closes') expect(heard.ended).toBe(true);

  const arrived = witness.arrived.filter(({ target }) => !target.startsWith('/canary-'));
  expect(arrived.map(({ method, target }) => `${method} ${target}`)).toEqual(
    meant.map(({ method, target }) => `${method} ${target}`),
  );
  meant.forEach(({ body }, index) => {
    if (body !== undefined) expect(arrived[index]?.body).toBe(body);
  });
  // a request that was refused half way may have begun to arrive, and no other
  const read = readRequests(payload.pieces.join(''), strictReading);
  const half = /^\S+ (\S+) HTTP\//.exec(read.rest)?.[1];
  const allowed = new Set([...meant.map(({ target }) => target), half]);
  expect(witness.begun.filter((target) => !allowed.has(target) && !target.startsWith('/canary-'))).toEqual([]);
  expect(witness.faults).toEqual([]);
  for (const name of payload.without) for (const { names } of arrived) expect(names).not.toContain(name);
}

interface Stage {
  readonly yard: Yard;
  readonly witness: Witness;
}

/** What went over the wire means the same to everybody, and keeps to what a head may be. */
function expectOneReading(payload: Payload, { witness }: Stage): void {
  const lists = (word: string): string[] =>
    payload.told
      .filter((line) => line.startsWith(`${word} `))
      .flatMap((line) => line.slice(word.length + 1).split('|'));
  for (const wire of witness.wires) {
    const strict = readRequests(wire, strictReading);
    const seen = strict.requests.map(({ method, target, body }) => ({ method, target, body }));
    for (const [how, reading] of Object.entries(looseReadings)) {
      const loose = readRequests(wire, reading).requests.map(({ method, target, body }) => ({ method, target, body }));
      expect({ how, requests: loose }).toEqual({ how, requests: seen });
    }
    for (const { fields } of strict.requests) {
      const names = fields.map(([name]) => name.toLowerCase());
      expect(names.filter((name) => name === 'host')).toHaveLength(1);
      expect(names.filter((name) => /^(?:content-length|transfer-encoding)$/.test(name)).length).toBeLessThanOrEqual(1);
      expect(names.filter((name) => /^(?:keep-alive|proxy-.*|http2-settings)$/.test(name))).toEqual([]);
      if (!payload.told.includes('upgrades')) expect(names).not.toContain('upgrade');
      expect(names.filter((name) => /^(?:content_length|transfer_encoding|x_forwarded.*)$/.test(name))).toEqual([]);
    }
  }
  const all = witness.wires.join('').toLowerCase();
  for (const text of lists('silent')) expect(all).not.toContain(text);
  if (all !== '') for (const text of lists('heard')) expect(all).toContain(text);
}

describe.each([
  ['node:http', strictWitness, ['whole', 'halved']],
  ['a bare socket', bareWitness, ['whole', 'halved', 'trickled']],
] as const)('an attacker in front of %s', (_origin, start, cuttings) => {
  let stage: Stage;
  beforeAll(async () => {
    const witness = await start();
    stage = { witness, yard: await startYard({ ports: [witness.port] }) };
  });
  afterAll(async () => {
    const { yard, witness } = stage;
    expect(yard.plane.stats().inFlight).toBe(0);
    for (const { meter } of yard.targets) expect(meter.inFlight).toBe(0);
    await yard.stop();
    await witness.close();
  });

  it.each(payloads.map((payload) => [payload.name, payload] as const))(
    'gains nothing by %s',
    async (_name, payload) => {
      const size = payload.pieces.join('').length;
      for (const cutting of cuttings) {
        if (cutting === 'trickled' && size > longestTrickle) continue;
        await expectNoDesync(payload, stage, cutting);
        expectOneReading(payload, stage);
      }
    },
  );
});

describe('the fixtures', () => {
  it('are enough, have names of their own, and say where they were published', () => {
    expect(payloads.length).toBeGreaterThanOrEqual(130);
    expect(new Set(payloads.map(({ name }) => name)).size).toBe(payloads.length);
    expect(payloads.filter(({ note }) => note.length < 10).map(({ name }) => name)).toEqual([]);
  });

  it('count no request as meant that RFC 9112 does not see', () => {
    for (const { name, pieces, meant } of payloads) {
      const read = readRequests(pieces.join(''), strictReading).requests.map(({ method, body }) => ({ method, body }));
      meant.forEach(({ method, body }, index) => {
        expect({ name, method: read[index]?.method }).toEqual({ name, method });
        if (body !== undefined) expect({ name, body: read[index]?.body }).toEqual({ name, body });
      });
    }
  });
});
