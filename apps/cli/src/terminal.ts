// How are people kept informed? On stderr: notes, one line of progress that is drawn again where that is possible, and questions where
// somebody can answer them.
import { createInterface } from 'node:readline/promises';

/** Where people are. */
export interface TerminalStreams {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
}

/** Talks to people. */
export interface Terminal {
  /** Whether somebody can be asked. */
  readonly canAsk: boolean;
  note(text: string): void;
  /** How far it is, 0 to 100. On a terminal one line that changes; elsewhere a line for each new `step`. */
  progress(state: { readonly percent: number; readonly step: string; readonly detail: string }): void;
  endProgress(): void;
  /** Asks; true only for a clear yes. */
  confirm(question: string, signal: AbortSignal): Promise<boolean>;
}

const barCells = 24;
const defaultColumns = 80;

/** A terminal on these streams. */
export function createTerminal({ stdin, stderr }: TerminalStreams): Terminal {
  const isDrawn = stderr.isTTY === true;
  const canAsk = stdin.isTTY === true && isDrawn;
  let isOpen = false;
  let lastStep = '';
  const endProgress = (): void => {
    if (isOpen) stderr.write('\n');
    isOpen = false;
    lastStep = '';
  };
  return {
    canAsk,
    note: (text) => {
      endProgress();
      stderr.write(`${text}\n`);
    },
    progress: ({ percent, step, detail }) => {
      if (!isDrawn) {
        if (step !== lastStep) stderr.write(`${String(percent).padStart(3)} %  ${step}\n`);
        lastStep = step;
        return;
      }
      const full = Math.round((percent / 100) * barCells);
      const bar = `[${'#'.repeat(full)}${'-'.repeat(barCells - full)}]`;
      const line = `${bar} ${String(percent).padStart(3)} %  ${step}${detail === '' ? '' : `  ${detail}`}`;
      stderr.write(`\r${line.slice(0, (stderr.columns ?? defaultColumns) - 1)}\u001B[K`);
      isOpen = true;
    },
    endProgress,
    confirm: async (question, signal) => {
      endProgress();
      const lines = createInterface({ input: stdin, output: stderr });
      try {
        const answer = await lines.question(`${question} [y/N] `, { signal });
        return /^y(?:es)?$/i.test(answer.trim());
      } finally {
        lines.close();
      }
    },
  };
}
