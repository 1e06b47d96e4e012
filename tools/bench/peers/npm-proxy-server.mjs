// One of the proxies from npm in front of three origins, in turn. Copied to where its packages are and run there.
// Arguments: name of the proxy, port, ports of the origins.
import { Agent, createServer } from 'node:http';

const [name, port, ...originPorts] = process.argv.slice(2);
const origins = originPorts.map((one) => `http://127.0.0.1:${one}`);
let turn = 0;
const nextOrigin = () => origins[(turn = (turn + 1) % origins.length)];
const listenOptions = { port: Number(port), host: '127.0.0.1', backlog: 1_024 };

const starts = {
  'http-proxy': async () => listenWith((await import('http-proxy')).default.createProxyServer(options())),
  'http-proxy-3': async () => listenWith((await import('http-proxy-3')).createProxyServer(options())),
  httpxy: async () => listenWith((await import('httpxy')).createProxyServer(options())),
  'reply-from': listenWithReplyFrom,
};

function options() {
  return { xfwd: true, agent: new Agent({ keepAlive: true }) };
}

function listenWith(proxy) {
  const giveUp = (response) => {
    if (response?.headersSent === false) response.writeHead(502);
    response?.end?.();
  };
  proxy.on('error', (_error, _request, response) => giveUp(response));
  createServer((request, response) => {
    // httpxy gives a promise, the others nothing
    Promise.resolve(proxy.web(request, response, { target: nextOrigin() })).catch(() => giveUp(response));
  }).listen(listenOptions);
}

async function listenWithReplyFrom() {
  const [{ default: fastify }, { default: replyFrom }] = await Promise.all([
    import('fastify'),
    import('@fastify/reply-from'),
  ]);
  const app = fastify({ logger: false });
  // bodies go through as they are
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, body, done) => done(null, body));
  await app.register(replyFrom, { undici: { connections: 128, pipelining: 1 } });
  app.all('/*', (request, reply) =>
    reply.from(nextOrigin() + request.raw.url, {
      rewriteRequestHeaders: (_original, headers) => ({ ...headers, 'x-forwarded-for': request.ip }),
    }),
  );
  await app.listen(listenOptions);
}

await starts[name]();
