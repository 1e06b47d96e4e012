// How does one ask the standard gRPC health service, and what does it say? Its two messages and their frame, byte by byte.
// Sources: grpc/grpc-proto grpc/health/v1/health.proto; grpc/grpc doc/PROTOCOL-HTTP2.md; protobuf.dev encoding.

/** The method of grpc.health.v1.Health that answers once. */
export const healthCheckPath = '/grpc.health.v1.Health/Check';

/** Bytes of the longest answer that is read: five of frame, and a message of one enum. */
export const longestHealthReply = 1_024;

/** The frame's head: whether it is compressed, then its length. */
const FRAME_HEAD = 5;
const SERVICE_FIELD = (1 << 3) | 2;
const STATUS_FIELD = 1 << 3;
const servingStatuses: readonly string[] = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

/** Names of the gRPC status codes, by number. */
const codes: readonly string[] = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

/** The name of a `grpc-status`; the number itself when it has none. */
export const grpcCodeName = (code: string): string => codes[Number(code)] ?? `status ${code.slice(0, 16)}`;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

/** A framed HealthCheckRequest about `service`; '' asks about the whole server, as an absent field does. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const message =
    name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.of(SERVICE_FIELD, ...varint(name.length)), name]);
  const head = Buffer.alloc(FRAME_HEAD);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** A varint of at most 64 bits, of which the low 32 are kept; undefined when it does not end. */
function readVarint(bytes: Buffer, from: number): { readonly value: number; readonly next: number } | undefined {
  let value = 0;
  for (let at = 0; at < 10; at += 1) {
    const byte = bytes[from + at];
    if (byte === undefined) return undefined;
    if (at < 5) value |= (byte & 0x7f) << (7 * at);
    if (byte < 0x80) return { value: value >>> 0, next: from + at + 1 };
  }
  return undefined;
}

/** Where the value of a field ends that starts at `from`; undefined when it is not there in full, or of a kind nobody sends. */
function endOfValue(bytes: Buffer, wireType: number, from: number): number | undefined {
  if (wireType === 0) return readVarint(bytes, from)?.next;
  if (wireType === 1) return from + 8;
  if (wireType === 5) return from + 4;
  const length = wireType === 2 ? readVarint(bytes, from) : undefined;
  return length && length.next + length.value;
}

/**
 * The status in a framed HealthCheckResponse: its name in the standard, or its number. A fault when the bytes are no such
 * message. Fields that later versions may add are skipped; of a status given twice the last one counts.
 */
export function healthStatus(reply: Buffer): { readonly status: string } | { readonly fault: string } {
  if (reply.length < FRAME_HEAD) return { fault: 'without a message' };
  if (reply[0] !== 0) return { fault: 'with a compressed message, which was not asked for' };
  const message = reply.subarray(FRAME_HEAD);
  if (message.length !== reply.readUInt32BE(1)) return { fault: 'with more or less than one message' };
  let status = 0;
  for (let at = 0; at < message.length;) {
    const tag = readVarint(message, at);
    const end = tag && endOfValue(message, tag.value & 7, tag.next);
    if (tag === undefined || end === undefined || end > message.length) return { fault: 'with a broken message' };
    if (tag.value === STATUS_FIELD) status = readVarint(message, tag.next)?.value ?? 0;
    at = end;
  }
  return { status: servingStatuses[status] ?? `status ${status}` };
}
