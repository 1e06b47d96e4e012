// In what world do the tests run commands? Streams that remember, and a small real HTTP server that answers as it is told.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type { Operation } from '@switchyard/protocol';
import { runCommandLine } from './command-line.ts';
import { commands } from './commands/commands.ts';

/** What came of a command. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How it is run. */
export interface RunOptions {
  readonly url: string;
  /** What the person types; there is a terminal then. */
  readonly typed?: string;
  readonly signal?: AbortSignal;
}

/** Runs a command as `main.ts` does. */
export async function run(args: readonly string[], { url, typed, signal }: RunOptions): Promise<Ran> {
  const isTTY = typed !== undefined;
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const collected = [stdout, stderr].map((stream) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    return () => Buffer.concat(chunks).toString('utf8');
  });
  if (typed !== undefined) stdin.write(typed);
  const code = await runCommandLine(commands, args, {
    env: { SWITCHYARD_URL: url },
    stdin: Object.assign(stdin, { isTTY }),
    stdout,
    stderr: Object.assign(stderr, { isTTY, columns: 120 }),
    signal: signal ?? new AbortController().signal,
  });
  return { code, stdout: collected[0]?.() ?? '', stderr: collected[1]?.() ?? '' };
}

/** A request that arrived. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly accept: string;
  readonly body: unknown;
}

/** Answers a request; undefined = 404. */
export type Answering = (
  asked: Asked,
) => { readonly status?: number; readonly body: unknown } | readonly Operation[] | undefined;

/** A server that answers; a list of operations is sent as a stream of events. */
export interface AnsweringServer {
  readonly url: string;
  readonly asked: Asked[];
  answer: Answering;
  end(): Promise<void>;
}

/** Starts one on a free port. */
export async function startAnswering(): Promise<AnsweringServer> {
  const asked: Asked[] = [];
  const respond = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('utf8');
    const { method = '', url: path = '', headers } = req;
    const one = {
      method,
      path,
      accept: headers.accept ?? '',
      body: text === '' ? undefined : (JSON.parse(text) as unknown),
    };
    asked.push(one);
    const answer = server.answer(one);
    if (answer === undefined) {
      res.writeHead(404, { 'content-type': 'application/problem+json' });
      res.end(JSON.stringify(problem('not_found', 404, `nothing is served at ${path}`)));
    } else if ('body' in answer) {
      res.writeHead(answer.status ?? 200, { 'content-type': 'application/json' });
      res.end(answer.body === undefined ? undefined : JSON.stringify(answer.body));
    } else {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const document of answer)
        res.write(`event: operation\ndata: ${JSON.stringify(document)}\n\n: keep-alive\n\n`);
      res.end();
    }
  };
  const http = createServer((req, res) => void respond(req, res)).listen(0, '127.0.0.1');
  await once(http, 'listening');
  const server: AnsweringServer = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    asked,
    answer: () => undefined,
    end: async () => {
      http.close();
      http.closeAllConnections();
      await once(http, 'close');
    },
  };
  return server;
}

/** A problem document. */
export function problem(code: string, status: number, detail: string, why: readonly string[] = []): object {
  return { type: `urn:switchyard:error:${code}`, title: code, status, detail, code, why, next: 'do something else' };
}

/** An operation as the API shows it. */
export function operation(facts: Partial<Operation> = {}): Operation {
  const state = facts.state ?? 'running';
  const isOver = state === 'succeeded' || state === 'failed' || state === 'cancelled';
  return {
    id: 'op-1',
    kind: 'rollback',
    subject: 'main',
    state,
    percent: isOver ? 100 : 40,
    etaSeconds: isOver ? null : 75,
    createdAt: '2026-01-02T03:04:05.000Z',
    startedAt: '2026-01-02T03:04:05.000Z',
    finishedAt: isOver ? '2026-01-02T03:04:07.500Z' : null,
    steps: [{ name: 'load', state: isOver ? 'done' : 'running', detail: '3.0 MB' }],
    result: null,
    problem: null,
    ...facts,
  };
}
