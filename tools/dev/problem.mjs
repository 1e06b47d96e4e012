// How does a start fail that a person can mend? With what is wrong and what to do, without a stack.

/** An error whose message is complete for the reader; everything else that is thrown is a defect. */
export class Problem extends Error {
  constructor(message, { next } = {}) {
    super(next === undefined ? message : `${message}\nWhat to do: ${next}`);
    this.name = 'Problem';
  }
}

/** One line on stderr about what the bootstrap does: stdout is for the result. */
export function note(text) {
  process.stderr.write(`switchyard: ${text}\n`);
}
