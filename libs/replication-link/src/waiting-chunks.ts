// Where do received bytes wait until they are read? In a bounded queue that says when its source has to wait, too.

/** A queue of chunks between one source that cannot wait for long and one reader. */
export interface WaitingChunks {
  /** False when so much waits that the source should stop; the chunk is kept in any case. */
  push(chunk: Buffer): boolean;
  /** Nothing more comes. The reader still gets what waits, then the error if there is one. */
  end(error?: Error): void;
  /** Forgets what waits and ends. */
  drop(): void;
  /** To be called once. */
  read(): AsyncGenerator<Buffer, void, undefined>;
}

/** What bounds the queue and who hears of its reader. */
export interface WaitingChunksOptions {
  /** From this size on `push` answers false. */
  readonly limitBytes: number;
  /** Half of what waited has been read after `push` had answered false. */
  readonly onRoom: () => void;
  /** The reader will read no more. */
  readonly onReaderGone: () => void;
}

/** An empty queue. */
export function createWaitingChunks({ limitBytes, onRoom, onReaderGone }: WaitingChunksOptions): WaitingChunks {
  let queue: Buffer[] = [];
  let head = 0;
  let bytes = 0;
  let isFull = false;
  let ended: { readonly error: Error | undefined } | undefined;
  let isRead = false;
  let wake: (() => void) | undefined;

  const take = (): Buffer | undefined => {
    const chunk = queue[head];
    if (chunk === undefined) return undefined;
    head += 1;
    bytes -= chunk.length;
    if (head === queue.length) {
      queue = [];
      head = 0;
    }
    if (isFull && bytes <= limitBytes / 2) {
      isFull = false;
      onRoom();
    }
    return chunk;
  };

  const end = (error?: Error): void => {
    ended ??= { error };
    wake?.();
  };

  async function* read(): AsyncGenerator<Buffer, void, undefined> {
    if (isRead) throw new Error('These bytes can be read only once.');
    isRead = true;
    try {
      for (;;) {
        const chunk = take();
        if (chunk !== undefined) {
          yield chunk;
          continue;
        }
        if (ended?.error !== undefined) throw ended.error;
        if (ended !== undefined) return;
        // Bounded by the life of the connection: its end, whatever the reason, calls end().
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      onReaderGone();
    }
  }

  return {
    push: (chunk) => {
      if (ended !== undefined) return true;
      queue.push(chunk);
      bytes += chunk.length;
      isFull ||= bytes >= limitBytes;
      wake?.();
      return !isFull;
    },
    end,
    drop: () => {
      queue = [];
      head = 0;
      bytes = 0;
      end();
    },
    read,
  };
}
