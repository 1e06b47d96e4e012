// What of a request's body can be sent a second time? Its first bytes, copied, up to a limit. Copied, because a slice of
// what the socket read keeps the whole read alive: one byte could hold 64 KiB.

/** The beginning of a body. */
export interface ReplayBuffer {
  /** Keeps a copy. Past the limit everything is given up. */
  keep(chunk: Buffer): void;
  /** Everything kept so far, or undefined when more came than may be kept. */
  readonly kept: Buffer | undefined;
  /** Gives the memory back; nothing can be sent again afterwards. */
  release(): void;
}

const firstBytes = 4_096;

/** Holds at most `limitBytes`, in memory that grows with the body. */
export function createReplayBuffer(limitBytes: number): ReplayBuffer {
  let memory: Buffer | undefined = Buffer.alloc(0);
  let length = 0;
  return {
    keep(chunk) {
      if (memory === undefined) return;
      if (length + chunk.length > limitBytes) {
        memory = undefined;
        return;
      }
      if (length + chunk.length > memory.length) {
        const larger = Buffer.allocUnsafe(Math.min(limitBytes, Math.max(firstBytes, 2 * (length + chunk.length))));
        memory.copy(larger, 0, 0, length);
        memory = larger;
      }
      chunk.copy(memory, length);
      length += chunk.length;
    },
    get kept() {
      return memory?.subarray(0, length);
    },
    release() {
      memory = undefined;
    },
  };
}
