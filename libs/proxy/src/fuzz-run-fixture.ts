// Does the engine keep its promises between clients and instances that are both hostile? Runs scripts of fuzz-messages-fixture.ts
// through two engines (one shares its connections) and two origins, and compares what comes out with a reading of its own. Used by
// fuzz.test.ts and tools/chaos/fuzz-proxy.mjs.
import { connect } from 'node:net';
import { systemClock, type Clock } from '@switchyard/runtime';
import { createFuzzLedger, type Finding, type FuzzLedger, type Meaning } from './fuzz-ledger-fixture.ts';
import { answerScript, clientScript, marksIn, namedBy, type ClientScript } from './fuzz-messages-fixture.ts';
import { fuzzOrigin } from './fuzz-origin-fixture.ts';
import { readStrictAnswer, type StrictAnswer } from './fuzz-reading-fixture.ts';
import { startYard, type Yard } from './proxy-fixture.ts';
import { readRequests, strictReading } from './reading-fixture.ts';
import { parseRequestTarget } from './request-target.ts';

/** How a run is made. */
export interface FuzzOptions {
  readonly seed: number;
  /** Mutated messages, of clients and of origins together. */
  readonly inputs: number;
  /** Number of the first client. */
  readonly from?: number;
  readonly concurrency: number;
  readonly progress?: (report: FuzzReport) => void;
}

/** What came of it so far. */
export interface FuzzReport {
  readonly inputs: number;
  readonly clients: number;
  readonly answers: number;
  readonly raced: number;
  readonly findings: readonly Finding[];
}

/** An answer, or the end of the connection, has to come within this; the engine's own limits are far below. */
const BOUND_MS = 10_000;
/** Who said something incomplete leaves after so long. */
const IMPATIENT_MS = 25;
/** On this clock a busy machine is a quick one, so that connections are shared. */
const QUICK = 50;
const quickClock: Clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() / QUICK };
const limitsMs = {
  connectMs: 400,
  responseMs: 300,
  idleMs: 300,
  headMs: 300,
  keepAliveMs: 400,
  totalMs: 2_000,
  tunnelMs: 400,
};

/** Runs until so many inputs were made or enough was found. Whatever is still under way at its end is a finding. */
export async function runFuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { seed, inputs, from = 1 } = options;
  const ledger = createFuzzLedger(() => systemClock.monotonicMs());
  const origins = await Promise.all([fuzzOrigin(seed, 0, ledger), fuzzOrigin(seed, 1, ledger)]);
  const ports = origins.map(({ port }) => port);
  const quickMs = Object.fromEntries(Object.entries(limitsMs).map(([name, ms]) => [name, ms / QUICK]));
  const yards: readonly [Yard, Yard] = [
    await startYard({ ports, timeouts: limitsMs }),
    await startYard({ ports, timeouts: quickMs, clock: quickClock }),
  ];
  const stage = { seed, ledger, ports: yards.map(({ port }) => port), answers: 0 };
  let next = from;
  const report = (): FuzzReport => ({
    inputs: next - from + ledger.hostileAnswers,
    clients: next - from,
    answers: stage.answers,
    raced: ledger.raced,
    findings: ledger.findings,
  });
  const worker = async (): Promise<void> => {
    while (report().inputs < inputs && ledger.findings.length < 20) {
      const input = next;
      next += 1;
      await attack(stage, input);
      if (input % 1_000 === 0) {
        for (const yard of yards) yard.outcomes.length = 0;
        options.progress?.(report());
      }
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  await settle(yards, ledger);
  for (const yard of yards) await yard.stop();
  for (const origin of origins) await origin.close();
  return report();
}

/** Everything that counts what is under way has to come to nothing. */
async function settle(yards: readonly Yard[], ledger: FuzzLedger): Promise<void> {
  const left = (): string =>
    yards
      .flatMap(({ plane, targets }) => [
        ...(['connections', 'inFlight', 'tunnels'] as const).map((name) => [name, plane.stats()[name]] as const),
        ...targets.map(({ id, meter }) => [`at ${id}`, meter.inFlight + meter.tunnels] as const),
      ])
      .filter(([, count]) => count !== 0)
      .map(([name, count]) => `${name}: ${count}`)
      .join(', ');
  const until = systemClock.monotonicMs() + BOUND_MS;
  while (left() !== '' && systemClock.monotonicMs() < until) await systemClock.sleep(20);
  if (left() !== '') ledger.find('something is still under way when everybody has left', left());
}

interface Stage {
  readonly seed: number;
  readonly ledger: FuzzLedger;
  readonly ports: readonly number[];
  answers: number;
}

/** What one client may expect. */
interface Hopes {
  readonly requests: readonly Meaning[];
  /** Something behind the requests is incomplete or wrong. */
  readonly more: boolean;
  /** What is behind them has a head that is right: an instance may answer it early. */
  readonly begun: Meaning | undefined;
}

function hopesOf(script: ClientScript): { readonly hopes: Hopes; readonly meanings: readonly Meaning[] } {
  const read = readRequests(script.pieces.join(''), strictReading);
  const asForwarded = ({ method, target, body }: Meaning): Meaning => {
    const parsed = parseRequestTarget(target, method);
    return { method, target: typeof parsed === 'string' ? target : parsed.forwardPath + parsed.query, body };
  };
  const requests = read.requests.map(asForwarded);
  const begun = begunIn(read.rest);
  const meanings = begun === undefined ? requests : [...requests, asForwarded(begun)];
  return { hopes: { requests, more: read.rest !== '', begun: meanings[requests.length] }, meanings };
}

/** The request whose head is right and complete, when its body is not. */
function begunIn(rest: string): Meaning | undefined {
  const end = rest.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = rest.slice(0, end + 4);
  const length = Math.min(100_000, Number(/^content-length:[ \t]*(\d{1,15})[ \t]*$/im.exec(head)?.[1] ?? 0));
  for (const body of ['', '0\r\n\r\n', 'x'.repeat(length)]) {
    const [request] = readRequests(head + body, strictReading).requests;
    if (request !== undefined) return { method: request.method, target: request.target, body: undefined };
  }
  const [, method, target] = /^(?:\r\n)?(\S+) (\S+) /.exec(head) ?? [];
  return length === 100_000 && method !== undefined && target !== undefined
    ? { method, target, body: undefined }
    : undefined;
}

async function attack(stage: Stage, input: number): Promise<void> {
  const { ledger, seed } = stage;
  const script = clientScript(seed, input);
  const { hopes, meanings } = hopesOf(script);
  ledger.expect(meanings);
  const listener = new Listener(stage, input, hopes);
  const problem = await converse(stage.ports[input % 2] as number, script, { input, listener, hopes });
  if (problem !== undefined) ledger.find(problem, detailOf(script, listener.text), input);
}

const detailOf = (script: ClientScript, heard: string): string =>
  `${JSON.stringify(script)} heard ${JSON.stringify(heard.slice(0, 1_500))}`;

function converse(
  port: number,
  script: ClientScript,
  { input, listener, hopes }: { readonly input: number; readonly listener: Listener; readonly hopes: Hopes },
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.1.${1 + (input % 200)}`, noDelay: true });
    let impatience: NodeJS.Timeout | undefined;
    const over = (problem: string | undefined): void => {
      clearTimeout(timer);
      clearTimeout(impatience);
      socket.resetAndDestroy();
      resolve(problem);
    };
    const timer = setTimeout(() => over('neither answered nor closed'), BOUND_MS);
    socket.on('data', (part) => {
      listener.hear(part.toString('latin1'));
      if (listener.satisfied) over(undefined);
    });
    let ended = false;
    socket.on('end', () => (ended = true));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      listener.end(ended);
      over(undefined);
    });
    const send = async (): Promise<void> => {
      for (const piece of script.pieces) {
        if (socket.destroyed) return;
        socket.write(piece, 'latin1');
        if (script.slow) await new Promise((next) => setImmediate(next));
      }
      if (script.after === 'half-close') socket.end();
      else if (script.after === 'reset') over(undefined);
      else if (script.after === 'leave') socket.destroy();
      else if (hopes.more && !script.patient) impatience = setTimeout(() => over(undefined), IMPATIENT_MS);
    };
    socket.on('connect', () => void send());
  });
}

/** What one client hears, taken apart and compared. */
class Listener {
  text = '';
  readonly #stage: Stage;
  readonly #input: number;
  readonly #hopes: Hopes;
  #at = 0;
  #count = 0;
  #sinceMs = systemClock.monotonicMs();
  #switched = false;

  constructor(stage: Stage, input: number, hopes: Hopes) {
    this.#stage = stage;
    this.#input = input;
    this.#hopes = hopes;
  }

  get satisfied(): boolean {
    const { requests, more } = this.#hopes;
    return this.#count >= requests.length + (more ? 1 : 0);
  }

  hear(text: string): void {
    this.text += text;
    this.#read(false);
  }

  end(inGoodOrder: boolean): void {
    this.#read(inGoodOrder);
    this.#marks(this.text.slice(this.#at), this.#asked);
  }

  get #asked(): Meaning | undefined {
    const { requests, begun } = this.#hopes;
    return this.#count === requests.length ? begun : requests[this.#count];
  }

  #read(closed: boolean): void {
    while (this.#at < this.text.length && !this.#switched) {
      const asked = this.#asked;
      const read = readStrictAnswer(this.text, this.#at, { method: asked?.method ?? 'GET', closed });
      if (read === 'incomplete') return;
      if (read === 'fault') {
        this.#find('the engine said what is not HTTP');
        this.#switched = true;
        return;
      }
      this.#check(read, asked);
      this.#at = read.end;
      this.#count += 1;
      this.#stage.answers += 1;
      this.#sinceMs = systemClock.monotonicMs();
      if (read.status === 101) this.#switched = true;
    }
  }

  #check(answer: StrictAnswer, asked: Meaning | undefined): void {
    const own = /^content-type: application\/problem\+json\r$|^content-type: text\/html; charset=utf-8\r$/im.test(
      answer.head,
    );
    const instance = /^switchyard-instance: [ab]\r$/im.test(answer.head);
    if (!instance && (!own || answer.status < 400)) this.#find("an answer is neither an instance's nor a refusal");
    if (asked === undefined) {
      if (instance || !this.#hopes.more) this.#find('an answer too many');
      return;
    }
    const strayed = this.#marks(this.text.slice(this.#at, answer.end), asked);
    if (instance && !strayed && !this.#wasSaid(answer, asked)) this.#find('the answer is not what an instance said');
  }

  /** Says whether there are marks of other requests. */
  #marks(text: string, asked: Meaning | undefined): boolean {
    let strayed = false;
    const own = namedBy(asked?.target ?? '') ?? { input: 0, index: 0 };
    for (const mark of marksIn(text)) {
      if (mark.input === own.input && mark.index === own.index) continue;
      if (this.#switched && mark.input === this.#input) continue;
      if (asked === undefined && this.#hopes.more) continue;
      if (!strayed) this.#stage.ledger.strayed(mark, this.#sinceMs, this.#input);
      strayed = true;
    }
    return strayed;
  }

  #wasSaid({ status, body }: StrictAnswer, { method, target }: Meaning): boolean {
    const named = namedBy(target) ?? { input: 0, index: 0 };
    for (const origin of [0, 1]) {
      for (const flag of ['b', 'h'] as const) {
        const { pieces, after } = answerScript(this.#stage.seed, { ...named, origin, method, target, flag });
        const said = readStrictAnswer(pieces.join(''), 0, { method, closed: after === 'end' });
        if (typeof said !== 'string' && said.status === status && said.body === body) return true;
      }
    }
    return false;
  }

  #find(what: string): void {
    const script = clientScript(this.#stage.seed, this.#input);
    const asked = this.#asked;
    const answers =
      asked === undefined
        ? []
        : [0, 1].map((origin) => {
            const named = namedBy(asked.target) ?? { input: 0, index: 0 };
            const { method, target } = asked;
            return answerScript(this.#stage.seed, { ...named, origin, method, target, flag: 'b' });
          });
    const detail = `answer ${this.#count} to ${JSON.stringify(asked)}, at ${this.#at}; ${detailOf(script, this.text.slice(this.#at))}`;
    this.#stage.ledger.find(what, `${detail}; origins ${JSON.stringify(answers).slice(0, 2_000)}`, this.#input);
  }
}
