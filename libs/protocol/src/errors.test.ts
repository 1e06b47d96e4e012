import { errorTable, isErrorCode } from './errors.ts';

// Programs of users compare these. Add a line for a new code; never change or remove one.
const promised = {
  backup_corrupt: 422,
  backup_failed: 502,
  bad_upstream: 502,
  cancelled: 409,
  conflict: 409,
  header_too_large: 431,
  history_gone: 410,
  internal: 500,
  invalid_input: 400,
  key_missing: 422,
  lease_held: 409,
  malformed_json: 400,
  malformed_request: 400,
  method_not_allowed: 405,
  misdirected: 421,
  no_instance: 503,
  no_primary: 503,
  no_replica: 503,
  no_route: 404,
  not_found: 404,
  not_implemented: 501,
  not_ready: 503,
  not_replicated: 503,
  not_restorable: 422,
  overloaded: 503,
  redis_unavailable: 503,
  refused_for_safety: 409,
  revision_mismatch: 412,
  stale_leader: 409,
  stale_token: 409,
  timed_out: 504,
  too_large: 413,
  unknown_instance: 404,
  unsupported_media_type: 415,
  upgrade_required: 426,
  upstream_timeout: 504,
};

describe('the error table', () => {
  it('keeps every code and status that was ever promised, and promises each new one', () => {
    const statuses = Object.fromEntries(Object.entries(errorTable).map(([code, { status }]) => [code, status]));

    expect(statuses).toEqual(promised);
  });

  it.each(Object.entries(errorTable))(
    '%s is an error of HTTP with words for people',
    (code, { status, title, next }) => {
      expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThanOrEqual(599);
      expect(title).toMatch(/^[A-Z].*[^.]$/);
      expect(next).toMatch(/^[a-z]|^GET /);
      expect(next).not.toMatch(/\.$/);
    },
  );

  it('calls no mistake of the caller retryable, but for one that mends itself', () => {
    const retryable = Object.entries(errorTable).filter(([, { status, retryable: again }]) => again && status < 500);

    expect(retryable.map(([code]) => code).toSorted()).toEqual(['lease_held', 'misdirected', 'stale_leader']);
  });

  it('knows its codes from other words', () => {
    expect(isErrorCode('no_instance')).toBe(true);
    expect(isErrorCode('toString')).toBe(false);
    expect(isErrorCode('__proto__')).toBe(false);
    expect(isErrorCode('')).toBe(false);
  });
});
