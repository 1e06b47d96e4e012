// Is an instance that speaks TLS believed only when its certificate is?
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { say, startYard, statusOf, problemIn, type Yard } from './proxy-fixture.ts';

const file = (name: string): string => readFileSync(new URL(`fixtures/tls/${name}`, import.meta.url), 'utf8');
const [key, certificate] = [file('key.pem'), file('certificate.pem')];
const usual = getCACertificates('default');

let asked: string[] = [];
const server = createServer({ key, cert: certificate, ALPNProtocols: ['http/1.1'] }, (req, res) => {
  asked.push(`${(req.socket as unknown as { servername: string | false }).servername} ${req.url}`);
  req.resume();
  req.on('end', () => res.end(`over TLS ${req.url}`));
});
let port = 0;
beforeAll(async () => {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  ({ port } = server.address() as AddressInfo);
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => {
    server.close(resolve);
  });
});

let yard: Yard;
afterEach(async () => {
  setDefaultCACertificates(usual);
  asked = [];
  await yard.stop();
});

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe('an instance behind TLS', () => {
  it('is refused when its certificate was signed by nobody who is trusted', async () => {
    yard = await startYard({ ports: [port], secureAs: 'localhost' });
    const heard = await say(yard.port, get('/'), { until: 'requestId' });
    expect(statusOf(heard)).toBe(502);
    expect(problemIn(heard).why[0]).toMatch(/^a: the connection failed \(DEPTH_ZERO_SELF_SIGNED_CERT\)/);
    expect(asked).toEqual([]);
  });

  it('is refused when its certificate is for somebody else', async () => {
    setDefaultCACertificates([...usual, certificate]);
    yard = await startYard({ ports: [port], secureAs: '127.0.0.2' });
    const heard = await say(yard.port, get('/'), { until: 'requestId' });
    expect(statusOf(heard)).toBe(502);
    expect(asked).toEqual([]);
  });

  it.each([
    ['a name, which it is told', 'localhost', 'localhost'],
    ['an address, of which it is told nothing', '127.0.0.1', 'false'],
  ])('is spoken to by %s, on a connection that is kept', async (_what, secureAs, told) => {
    setDefaultCACertificates([...usual, certificate]);
    yard = await startYard({ ports: [port], secureAs });
    const heard = await say(yard.port, get('/1') + get('/2'), { until: 'over TLS /2' });
    expect(heard.text.match(/over TLS \/\d/g)).toEqual(['over TLS /1', 'over TLS /2']);
    const body = `POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`;
    expect(statusOf(await say(yard.port, body, { until: 'over TLS /3' }))).toBe(200);
    expect(asked).toEqual([`${told} /1`, `${told} /2`, `${told} /3`]);
  });

  it('that cannot be reached is left for another one', async () => {
    setDefaultCACertificates([...usual, certificate]);
    yard = await startYard({ ports: [1, port], secureAs: 'localhost' });
    expect(statusOf(await say(yard.port, get('/'), { until: 'over TLS /' }))).toBe(200);
  });
});
