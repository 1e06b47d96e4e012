// What of a request's body can be sent a second time? Its first bytes, up to a limit. Copied where a slice of what the socket read
// would keep a much larger read alive: one byte could hold 64 KiB. A body that came in one piece, as most do, is not.

/** The beginning of a body. */
export interface ReplayBuffer {
  /** Keeps what will not be written over. Past the limit everything is given up. */
  keep(chunk: Buffer): void;
  /** Everything kept so far, or undefined when more came than may be kept. */
  readonly kept: Buffer | undefined;
  /** Gives the memory back; nothing can be sent again afterwards. */
  release(): void;
}

const firstBytes = 4_096;
/** A piece may hold so many times its own size. */
const mostWaste = 2;

/** Holds at most `limitBytes` (twice that in pieces), in memory that grows with the body. */
export function createReplayBuffer(limitBytes: number): ReplayBuffer {
  let memory: Buffer | undefined = Buffer.alloc(0);
  let length = 0;
  return {
    keep(chunk) {
      if (memory === undefined) return;
      const total = length + chunk.length;
      if (total > limitBytes) {
        memory = undefined;
        return;
      }
      if (length === 0 && chunk.buffer.byteLength <= mostWaste * chunk.length) {
        memory = chunk;
        length = total;
        return;
      }
      // `memory` may be the first piece itself, which is full
      if (total > memory.length) {
        const larger = Buffer.allocUnsafe(Math.min(limitBytes, Math.max(firstBytes, 2 * total)));
        memory.copy(larger, 0, 0, length);
        memory = larger;
      }
      chunk.copy(memory, length);
      length = total;
    },
    get kept() {
      return memory?.subarray(0, length);
    },
    release() {
      memory = undefined;
    },
  };
}
