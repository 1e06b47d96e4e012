// Where does one message end and the next begin on a connection of lines? At each line feed; what has none yet waits, up to a limit.

/** Takes text as it comes and gives the lines that are complete; undefined when a line is longer than it may be. */
export type LineReader = (text: string) => readonly string[] | undefined;

/** A reader for one connection; `longest` is in characters. Empty lines are left out. */
export function createLineReader(longest: number): LineReader {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > longest || lines.some((line) => line.length > longest)) return undefined;
    return lines.map((line) => line.trim()).filter((line) => line !== '');
  };
}
