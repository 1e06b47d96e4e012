// Which errors can a caller meet, who can mend them, and which HTTP status do they carry? The one table.

interface ErrorFacts {
  /** HTTP status of the problem document (RFC 9457). */
  readonly status: number;
  /** Short, the same for every occurrence (RFC 9457 `title`). */
  readonly title: string;
  /** True when the same request may succeed later without being changed. */
  readonly retryable: boolean;
  /** What to do next, when the occurrence itself does not say it better. */
  readonly next: string;
}

const facts = (status: number, title: string, retryable: boolean, next: string): ErrorFacts =>
  Object.freeze({ status, title, retryable, next });

/** Every error code of the public interfaces. Codes are stable: add, never rename. */
export const errorTable = Object.freeze({
  invalid_input: facts(400, 'The input is not valid', false, 'correct the fields named in why and send it again'),
  malformed_json: facts(400, 'The body is not JSON', false, 'send a JSON document as UTF-8'),
  malformed_request: facts(400, 'The request is malformed', false, 'send a request that follows RFC 9112'),
  not_found: facts(404, 'Nothing is known by that name', false, 'list what exists and check the spelling'),
  unknown_instance: facts(404, 'The instance is not registered', false, 'register it again, then send heartbeats'),
  no_route: facts(404, 'No route matches the request', false, 'add a route with PUT /v1/routes/{name}'),
  method_not_allowed: facts(405, 'The method is not allowed here', false, 'use one of the methods in the Allow header'),
  conflict: facts(409, 'The current state does not allow it', false, 'read the current state, then decide again'),
  revision_mismatch: facts(
    412,
    'It was changed in the meantime',
    false,
    'read it again and send its new ETag in If-Match',
  ),
  history_gone: facts(
    410,
    'The history does not reach back so far',
    false,
    'ask for a later moment: GET /v1/events shows what is kept',
  ),
  too_large: facts(413, 'The body is too large', false, 'send less at once'),
  unsupported_media_type: facts(415, 'The media type is not supported', false, 'send Content-Type: application/json'),
  misdirected: facts(
    421,
    'The request reached another instance',
    true,
    'send it again: the routing table is being corrected',
  ),
  upgrade_required: facts(
    426,
    'Another protocol is spoken here',
    false,
    'ask with Connection: Upgrade and the protocol in Upgrade',
  ),
  header_too_large: facts(431, 'The request head is too large', false, 'send fewer or shorter headers'),
  refused_for_safety: facts(409, 'Refused: it could lose data', false, 'read why, mend it, then try again'),
  stale_token: facts(
    409,
    'The fencing token is not the newest',
    false,
    'stop: somebody else has taken over; ask for your role, or acquire the lease again',
  ),
  lease_held: facts(409, 'Somebody else holds the lease', true, 'try again after the time that is left'),
  stale_leader: facts(409, 'Another process leads by now', true, 'nothing: the present leader does the work'),
  internal: facts(500, 'An unexpected error', true, 'report it with its requestId'),
  not_implemented: facts(501, 'Not supported', false, 'see the documentation for what is supported'),
  bad_upstream: facts(
    502,
    'The instance gave no usable answer',
    true,
    'read why: it names each instance that was tried',
  ),
  no_instance: facts(503, 'No instance can take the request', true, 'read why: it names each instance and the reason'),
  overloaded: facts(503, 'Too much is under way', true, 'try again after the time in Retry-After'),
  redis_unavailable: facts(
    503,
    'Redis cannot be reached',
    true,
    'try again shortly; GET /v1/redis/groups shows its state',
  ),
  not_replicated: facts(
    503,
    'Not known to be replicated',
    true,
    'read the current state; send it again where doing it twice does no harm',
  ),
  not_ready: facts(503, 'The service is not ready yet', true, 'see /readyz?verbose for what it waits on'),
  no_primary: facts(503, 'No primary is known', true, 'GET /v1/redis/groups/{group} names each node and its problem'),
  no_replica: facts(
    503,
    'No replica is fit for it',
    true,
    'GET /v1/redis/groups/{group} names each replica and its lag',
  ),
  upstream_timeout: facts(
    504,
    'The instance did not answer in time',
    true,
    'read why; raise the route timeout if the work is long',
  ),
  backup_corrupt: facts(422, 'The backup is not intact', false, 'take a new backup; keep this one only for forensics'),
  backup_failed: facts(
    502,
    'The backup could not be taken',
    true,
    'read why, mend the source, then POST /v1/backups again',
  ),
  not_restorable: facts(
    422,
    'That moment cannot be restored',
    false,
    'choose one of the moments that why names; GET /v1/backups/window shows all',
  ),
  key_missing: facts(
    422,
    'The key of the backup is not here',
    false,
    'add the key that why names to the file in SWITCHYARD_BACKUP_KEY_FILE',
  ),
  cancelled: facts(409, 'It was cancelled', false, 'start it again if it is still wanted'),
  timed_out: facts(504, 'It took longer than allowed', true, 'try again; if it stays slow, look at the machine'),
});

export type ErrorCode = keyof typeof errorTable;

/** True for a code of the table. */
export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(errorTable, code);
