// How are leases of somebody outside kept in Redis? Each step is one script on Redis's clock; tokens come from the one fence counter.
import { setTimeout as sleep } from 'node:timers/promises';
import { keys, mostLeases, ok, parseDurationMs, refuse, storedLeaseSchema } from '@switchyard/protocol';
import type { LeaseInput, LeaseView, Result } from '@switchyard/protocol';
import type { Redis } from 'ioredis';
import { loadScript } from './script.ts';

const acquireScript = loadScript('lease-acquire');
const releaseScript = loadScript('lease-release');
const checkScript = loadScript('lease-check');
const listScript = loadScript('lease-list');

/** A keeper begins the next epoch within a quarter of a second (epoch-keeper.ts). */
const CLAIM_POLL_MS = 50;
const CLAIM_POLLS = 16;

export interface AcquiredLease {
  readonly created: boolean;
  readonly lease: LeaseView;
}

/** A token that holds. */
export interface HeldLease {
  readonly holder: string;
  readonly expiresInMs: number;
}

/** What speaks against a token: the present one, 0 when nobody holds the lease. */
export interface Leases {
  /** Takes or renews; refuses with `lease_held`, `stale_token` or `overloaded`. */
  acquire(name: string, input: LeaseInput): Promise<Result<AcquiredLease>>;
  /** Gives back; refuses when another holds it (`lease_held`) or under another token (`stale_token`). */
  release(name: string, by: { readonly holder: string; readonly fencingToken?: number }): Promise<Result<null>>;
  check(name: string, fencingToken: number): Promise<Result<HeldLease>>;
  /** By name. */
  list(): Promise<Result<LeaseView[]>>;
  read(name: string): Promise<Result<LeaseView>>;
}

const stale = (name: string, given: number, [, token, holder]: readonly string[]): ReturnType<typeof refuse> =>
  token === '0'
    ? refuse('stale_token', `nobody holds the lease ${name}: ${given} has run out, or Redis has forgotten it`)
    : refuse('stale_token', `the lease ${name} is held by ${holder} with the token ${token}`, {
        why: [
          Number(token) === given
            ? 'Redis is another one than when this token was given out, and may have forgotten a newer one'
            : `the token given is ${given}`,
        ],
      });

const held = (name: string, [, holder, leftMs]: readonly string[]): ReturnType<typeof refuse> =>
  refuse('lease_held', `${holder} holds the lease ${name} for another ${leftMs} ms`, {
    next: `try again in ${leftMs} ms`,
  });

/** Leases on `redis`, a `commands` connection. Every method rejects while Redis is away, and refuses with `not_ready` while it is unclaimed. */
export function createLeases(redis: Redis): Leases {
  const scriptKeys = [keys.catalogMeta, keys.leaseDocuments, keys.leaseExpiries];
  const ask = async (
    script: typeof acquireScript,
    args: readonly (string | number)[],
  ): Promise<Result<readonly unknown[]>> => {
    for (let poll = 0; poll < CLAIM_POLLS; poll += 1) {
      const reply = (await script.run(redis, scriptKeys, args)) as readonly unknown[];
      if (reply[0] !== 'unclaimed') return ok(reply);
      await sleep(CLAIM_POLL_MS);
    }
    return refuse('not_ready', 'Redis is another process than before and may have forgotten leases', {
      why: ['its next epoch has not begun'],
    });
  };
  const texts = (reply: readonly unknown[]): string[] => reply.map(String);

  const listed = async (only: string): Promise<Result<LeaseView[]>> => {
    const reply = await ask(listScript, [only]);
    if (!reply.ok) return reply;
    const [, epoch, nowMs, flat] = reply.value as [string, string, number, string[]];
    const views: LeaseView[] = [];
    for (let at = 0; at < flat.length; at += 3) {
      const [name = '', stored = '', endsMs] = flat.slice(at, at + 3);
      const [own = '', token = '', since = ''] = stored.split('|', 3);
      const json = stored.slice(own.length + token.length + since.length + 3);
      const { holder, ttlMs, meta } = storedLeaseSchema.parse(JSON.parse(json));
      const expiresInMs = Math.min(Number(endsMs) - nowMs, ttlMs);
      if (expiresInMs <= 0) continue;
      const sinceText = new Date(Number(since)).toISOString();
      views.push({
        name,
        holder,
        fencingToken: Number(token),
        ttlMs,
        expiresInMs,
        since: sinceText,
        meta,
        valid: own === epoch,
      });
    }
    return ok(views.toSorted((one, other) => (one.name < other.name ? -1 : 1)));
  };

  return {
    async acquire(name, { holder, ttl, meta = {}, fencingToken }) {
      const ttlMs = parseDurationMs(ttl) ?? 0;
      const document = JSON.stringify({ holder, ttlMs, meta });
      const reply = await ask(acquireScript, [name, holder, ttlMs, fencingToken ?? '', document, mostLeases]);
      if (!reply.ok) return reply;
      const answer = texts(reply.value);
      if (answer[0] === 'held') return held(name, answer);
      if (answer[0] === 'stale') return stale(name, fencingToken ?? 0, answer);
      if (answer[0] === 'full') return refuse('overloaded', `there are ${mostLeases} leases already`);
      const [outcome, token, sinceMs] = answer;
      const since = new Date(Number(sinceMs)).toISOString();
      const lease = { name, holder, fencingToken: Number(token), ttlMs, expiresInMs: ttlMs, since, meta, valid: true };
      return ok({ created: outcome === 'acquired', lease });
    },
    async release(name, { holder, fencingToken }) {
      const reply = await ask(releaseScript, [name, holder, fencingToken ?? '']);
      if (!reply.ok) return reply;
      const answer = texts(reply.value);
      if (answer[0] === 'held') return held(name, answer);
      return answer[0] === 'stale' ? stale(name, fencingToken ?? 0, answer) : ok(null);
    },
    async check(name, fencingToken) {
      const reply = await ask(checkScript, [name, fencingToken]);
      if (!reply.ok) return reply;
      const answer = texts(reply.value);
      if (answer[0] !== 'valid') return stale(name, fencingToken, answer);
      return ok({ holder: answer[1] ?? '', expiresInMs: Number(answer[2]) });
    },
    list: () => listed(''),
    async read(name) {
      const found = await listed(name);
      if (!found.ok) return found;
      const [lease] = found.value;
      return lease ? ok(lease) : refuse('not_found', `nobody holds a lease named ${name}`);
    },
  };
}
