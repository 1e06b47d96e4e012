// What does a stream of server-sent events say? Bytes in, frames out (WHATWG HTML 9.2.6), with a bound on what is kept.

/** One frame. `id` is the latest one of the stream, also when this frame brought none. */
export interface SseFrame {
  readonly id: string;
  /** `message` when the frame names none. */
  readonly event: string;
  readonly data: string;
}

/** A reader of one stream. */
export interface SseReader {
  /** The frames that are whole now; a frame that carries only an id gives one with empty `data`. Throws when one is too long. */
  take(bytes: Uint8Array): readonly SseFrame[];
}

/** Characters of one frame; a snapshot of 10,000 instances is about 5 million. */
const longestFrame = 64 * 1024 * 1024;

/** A reader at the beginning of a stream. */
export function createSseReader(limit = longestFrame): SseReader {
  const decoder = new TextDecoder();
  let rest = '';
  let kept = 0;
  let id = '';
  let named = false;
  let event = '';
  let data: string[] = [];

  const takeLine = (line: string, frames: SseFrame[]): void => {
    if (line === '') {
      if (named || data.length > 0) frames.push({ id, event: event || 'message', data: data.join('\n') });
      [named, event, data, kept] = [false, '', [], 0];
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') data.push(value);
    else if (field === 'event') event = value;
    else if (field === 'id') [id, named] = [value, true];
    kept += value.length;
  };

  return {
    take(bytes) {
      const frames: SseFrame[] = [];
      const text = decoder.decode(bytes, { stream: true });
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) takeLine(line.endsWith('\r') ? line.slice(0, -1) : line, frames);
      if (rest.length + kept > limit) throw new Error(`a frame of the event stream is longer than ${limit} characters`);
      return frames;
    },
  };
}
