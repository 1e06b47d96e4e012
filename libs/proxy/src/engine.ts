// What is a data plane, seen from the service that runs one? The seam between the dispatcher, which knows routes and
// instances, and an engine, which knows sockets. The engine is socket/socket-engine.ts.
//
//   request -> route(head) -> decision -> pick(service, excluded) -> target -> exchange with it -> counters
//                    |                          |                                   |
//                 refusal                 whyNot(service)                 report(outcome), only when
//                                                                        it was refused, retried or cut
import type { Candidate } from '@switchyard/balancing';
import type { ErrorCode, Refusal } from '@switchyard/protocol';
import type { Clock, Component, Logger } from '@switchyard/runtime';
import type { HeaderList } from './header-list.ts';
import type { InstanceMeter } from './meter.ts';

/** What a decision may rest on. Valid during the call only. */
export interface RequestHead {
  readonly method: string;
  /** Host in lower case, without port; empty when the client (HTTP/1.0) named none. */
  readonly host: string;
  /** Normalised, begins with "/", without query. */
  readonly path: string;
  readonly headers: HeaderList;
}

/** Where a request goes and how. Made once per table change and shared by all requests: frozen. */
export type RouteDecision = ForwardDecision | RefuseDecision;

export interface ForwardDecision {
  readonly action: 'proxy' | 'redirect';
  /** Name of the route, for people. */
  readonly route: string;
  readonly service: string;
  /** 302, 307 or 308; only for redirects. */
  readonly redirectStatus: number;
  /** Prefix to take away from the path before forwarding, without a slash at its end; empty for none. */
  readonly stripPrefix: string;
  /** What the instance is asked for in place of the path that came; the query stays. */
  readonly replacePath?: string | undefined;
  readonly rules: ServiceRules;
  /** Ms until the head of the answer; the engine's own when undefined. */
  readonly responseMs?: number | undefined;
  /** Ms of silence within a body; the engine's own when undefined. */
  readonly idleMs?: number | undefined;
}

/** What holds for every request to one service. Made once per change of its policy: frozen. */
export interface ServiceRules {
  /** Attempts in all, the first included, each on another instance. */
  readonly attempts: number;
  /** Requests under way at one instance; above it the instance counts as busy. The engine's own limit when undefined. */
  readonly inFlightPerInstance?: number | undefined;
  /** Requests that may wait until an instance has room; 0 for none. One more is refused with 503. */
  readonly queued: number;
  /** Ms that a request waits for room at most. */
  readonly queuedMs: number;
  /** When an idempotent request without an answer is asked elsewhere too; undefined for never. */
  readonly hedge?: HedgeRule | undefined;
}

/** After `afterMs`, or after the time that this share of the instance's recent answers took (0.5 to 0.999). */
export interface HedgeRule {
  readonly afterMs?: number | undefined;
  readonly quantile?: number | undefined;
}

export interface RefuseDecision {
  readonly action: 'refuse';
  readonly refusal: Refusal;
}

/** An instance that can be picked. */
export interface Target extends Candidate {
  readonly service: string;
  /** For connecting: a name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly secure: boolean;
  /** `http://host:port`, for redirects. */
  readonly origin: string;
  readonly meter: InstanceMeter;
}

/** Why a candidate is not used, for the `why` of a refusal. */
export interface WhyNot {
  readonly id: string;
  readonly reason: string;
}

/** Sizes. Every one of them is a limit per connection, request or instance. */
export interface Limits {
  /** Request line and header together; above it 431. */
  readonly headBytes: number;
  /** Head of an instance's answer; above it 502. */
  readonly answerHeadBytes: number;
  /** Body of a request; above it 413. 0 for no limit: bodies are streamed, not kept. */
  readonly bodyBytes: number;
  /** So much of a request's body is kept for a second attempt; a longer body means no second attempt. */
  readonly replayBytes: number;
  /** Client connections at once; further ones are closed. */
  readonly connections: number;
  /** Requests under way at one instance; above it the instance counts as busy. */
  readonly inFlightPerInstance: number;
  /** Idle connections kept to one instance. */
  readonly idlePerInstance: number;
  /** Brief requests that may wait on one connection to an instance, one behind the other; 0: never (see batch-gauge.ts). */
  readonly sharedDepth: number;
}

/** Times in ms, coarse: a timeout may come up to 100 ms late. */
export interface Timeouts {
  /** From the start of an attempt to a connection with the instance. */
  readonly connectMs: number;
  /** From the end of the request to the head of the answer. */
  readonly responseMs: number;
  /** Silence within a body, in either direction. */
  readonly idleMs: number;
  /** From the first byte of a request to the end of its head. */
  readonly headMs: number;
  /** Client connection without a request. */
  readonly keepAliveMs: number;
  /** No further attempt begins so long after the request came. */
  readonly totalMs: number;
  /** Silence in both directions of an upgraded connection. */
  readonly tunnelMs: number;
  /** Requests under way get so long to end when the engine stops. */
  readonly drainMs: number;
  /**
   * While it stops, idle connections stay open for so long, within `drainMs`: the next answer on each says that it closes, so that
   * no client loses a request to a connection that closes as it is used. 0 when undefined.
   */
  readonly drainIdleMs?: number | undefined;
}

/** One attempt of a request that was refused, retried or cut. */
export interface AttemptRecord {
  readonly instance: string;
  readonly outcome: string;
  readonly tookMs: number;
}

/** How a request ended that did not simply go well. */
export interface RequestOutcome {
  readonly requestId: string;
  readonly method: string;
  /** Path and query, cut at 256 characters. */
  readonly target: string;
  readonly host: string;
  readonly route: string | undefined;
  readonly service: string | undefined;
  /** answered: after a retry. refused: by us, with `code`. cut: the instance died within its answer. left: by the client. */
  readonly end: 'answered' | 'refused' | 'cut' | 'left';
  /** Status the client got; 0 when none. */
  readonly status: number;
  readonly code: ErrorCode | undefined;
  readonly why: readonly string[];
  readonly attempts: readonly AttemptRecord[];
  readonly startedUnixMs: number;
  readonly tookMs: number;
}

/**
 * What an attempt says about its instance. connect: no connection; timeout: no answer in time; reset: closed or broken before
 * its answer; gateway-error: 502, 503 or 504.
 */
export type InstanceOutcome = 'answered' | 'connect' | 'timeout' | 'reset' | 'gateway-error';

/** What an engine asks its owner. All calls are synchronous, quick, and never throw. */
export interface TrafficPolicy {
  route(head: RequestHead): RouteDecision;
  /** An instance that is not in `excluded`, or undefined. Allocates nothing when one is found. */
  pick(service: string, excluded: readonly string[]): Target | undefined;
  /** Every instance of the service that would not be picked, with the reason. Only asked when a request fails. */
  whyNot(service: string): readonly WhyNot[];
  /**
   * What an attempt says about its instance; `reason` for people, about the instance. Failures only of a request that has not
   * failed elsewhere before, so that one request speaks against one instance at most. Answers only while `meter.watched`.
   */
  observe(target: Target, outcome: InstanceOutcome, reason: string): void;
  /** Never called for a request that simply went well. */
  report(outcome: RequestOutcome): void;
  /**
   * May a request that is not idempotent, but carries an Idempotency-Key, be sent once more? Granted at most once for a claim, by
   * all dispatchers together. `done` is called once, or never (the engine has a deadline). Without it the answer is no.
   */
  claimReplay?(claim: ReplayClaim, done: (verdict: ReplayVerdict) => void): void;
}

/** One keyed request, told apart from all others: whose it is, what it asks for, and its key. */
export interface ReplayClaim {
  readonly service: string;
  /** Method, authority, path, credentials and key, one per line: unbounded and secret, to be hashed. */
  readonly fingerprint: string;
  readonly requestId: string;
}

/** `reason` for people, when it is no. */
export interface ReplayVerdict {
  readonly granted: boolean;
  readonly reason: string;
}

/** Where requests are written down one by one. Both calls are synchronous, quick, and never throw. */
export interface AccessLog {
  /** Whether the request that begins now shall be written down. */
  wants(): boolean;
  record(entry: AccessEntry): void;
}

/** One request, when it is over. Times in ms. */
export interface AccessEntry {
  readonly requestId: string;
  /** W3C trace id of its traceparent; undefined without a valid one. */
  readonly traceId: string | undefined;
  readonly listener: string;
  /** Address of the peer, without port. */
  readonly client: string;
  readonly method: string;
  readonly host: string;
  /** Path and query, cut at 2,048 characters. */
  readonly target: string;
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1';
  readonly userAgent: string | undefined;
  readonly route: string | undefined;
  readonly service: string | undefined;
  /** The instance that answered, or was asked last. */
  readonly instance: string | undefined;
  /** As in RequestOutcome; `answered` also when nothing went wrong. */
  readonly end: RequestOutcome['end'];
  readonly status: number;
  readonly code: ErrorCode | undefined;
  /** Of the body, as far as it came. */
  readonly requestBytes: number;
  /** Head and body, as far as they were written. */
  readonly answerBytes: number;
  /** Attempts that failed before the one that decided. */
  readonly attempts: readonly AttemptRecord[];
  readonly startedUnixMs: number;
  /** From the head of the request until the head of the answer; undefined when there was none. */
  readonly firstByteMs: number | undefined;
  readonly tookMs: number;
}

/** What an engine is made of. */
export interface DataPlaneOptions {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly policy: TrafficPolicy;
  readonly limits: Limits;
  readonly timeouts: Timeouts;
  /** Addresses and ranges of proxies in front whose X-Forwarded-* and Forwarded are believed. */
  readonly trustedProxies: readonly string[];
  /** Answers name the instance in Switchyard-Instance. */
  readonly announceInstance: boolean;
  /** Our pseudonym in Via. */
  readonly via: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly accessLog?: AccessLog | undefined;
}

/** Counters of an engine since its start. Plain numbers, read at scrape. */
export interface DataPlaneStats {
  readonly connections: number;
  readonly connectionsTotal: number;
  readonly connectionsDropped: number;
  readonly requestsTotal: number;
  readonly inFlight: number;
  readonly tunnels: number;
  readonly retriesTotal: number;
  /** Attempts that the retry budget did not allow. */
  readonly retriesRefusedTotal: number;
  /** Requests that were asked of a second instance because the first one took long. */
  readonly hedgesTotal: number;
  /** Requests that waited until an instance had room. */
  readonly queuedTotal: number;
  /** Requests that wait for that now. */
  readonly queued: number;
  readonly redirectsTotal: number;
  /** Clients that went away before their answer was complete. */
  readonly clientAbortsTotal: number;
  /** Answers that broke off within their body. */
  readonly truncatedTotal: number;
  /** Answers of instances by class: index 1 for 1xx (101 only) to 5 for 5xx. */
  readonly answersByClass: readonly number[];
  readonly refusalsByCode: Readonly<Record<string, number>>;
}

/** A running data plane. `drain` stops accepting and waits for what is under way; `stop` ends the rest. */
export interface DataPlane extends Component {
  start(signal: AbortSignal): Promise<void>;
  drain(): Promise<void>;
  stop(): Promise<void>;
  /**
   * The instance is gone, says the catalog: its requests that have no answer yet are sent elsewhere if that is safe, else refused
   * with `reason`; its idle connections are closed. To be called when it is not picked any more.
   */
  dropInstance(service: string, id: string, reason: string): void;
  /** Where it listens; throws before `start`. */
  address(): { readonly host: string; readonly port: number };
  stats(): DataPlaneStats;
}

/** For a service without a policy of its own. */
export const defaultServiceRules: ServiceRules = Object.freeze({ attempts: 3, queued: 256, queuedMs: 1_000 });

/** All on, none infinite where a client or an instance could hold something. */
export const defaultLimits: Limits = Object.freeze({
  headBytes: 16 * 1024,
  answerHeadBytes: 64 * 1024,
  bodyBytes: 0,
  replayBytes: 64 * 1024,
  connections: 10_000,
  inFlightPerInstance: 1_024,
  idlePerInstance: 64,
  sharedDepth: 32,
});

export const defaultTimeouts: Timeouts = Object.freeze({
  connectMs: 1_000,
  responseMs: 15_000,
  idleMs: 60_000,
  headMs: 10_000,
  keepAliveMs: 65_000,
  totalMs: 30_000,
  tunnelMs: 3_600_000,
  drainMs: 7_000,
});
