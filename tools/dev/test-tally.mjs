// How many tests passed and failed, and what is worth reading about the failures?

/**
 * Counts one step. `code`: its exit code; `output`: what it printed; `reports`: parsed result files of Jest.
 * A step that failed without a failed test (it did not even start) counts as one failure, or CI could be green by
 * crashing early.
 * @returns {{ passed: number, failed: number, skipped?: string }}
 */
export function tally({ counts }, { code, output, reports = [] }) {
  if (counts === 'step') {
    const last = output.trimEnd().split('\n').at(-1) ?? '';
    if (code === 77) return { passed: 0, failed: 0, skipped: last };
    return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  }
  const { passed, failed } = counts === 'tap' ? fromTap(output) : fromJest(reports);
  return { passed, failed: code !== 0 && failed === 0 ? 1 : failed };
}

// node:test ends its TAP output with "# pass 12" and "# fail 0".
function fromTap(output) {
  const number = (word) => Number(output.match(new RegExp(`^# ${word} (\\d+)$`, 'm'))?.[1] ?? 0);
  return { passed: number('pass'), failed: number('fail') + number('cancelled') };
}

// A file that could not be loaded has no failed test in Jest's own count, but is one.
function fromJest(reports) {
  const sum = (pick) => reports.reduce((total, report) => total + (pick(report) ?? 0), 0);
  return {
    passed: sum((report) => report.numPassedTests),
    failed: sum((report) => report.numFailedTests) + sum((report) => report.numRuntimeErrorTestSuites),
  };
}

/** What to print about a failed step: the failed tests by name with the beginning of their messages, else the tail. */
export function failureText({ counts }, { output, reports = [] }) {
  const failures = counts === 'jest' ? reports.flatMap(jestFailures) : [];
  if (failures.length > 0) return clip(failures.join('\n'), 120);
  if (counts === 'tap') {
    const lines = output.split('\n');
    const starts = lines.flatMap((line, index) => (/^\s*not ok /.test(line) ? [index] : []));
    if (starts.length > 0)
      return clip(starts.map((start) => lines.slice(start, start + 25).join('\n')).join('\n'), 120);
  }
  return lastLines(output, 40);
}

function jestFailures(report) {
  return (report.testResults ?? []).flatMap((file) => {
    const failed = file.assertionResults.filter(({ status }) => status === 'failed');
    if (failed.length === 0 && file.status === 'failed') return [`${file.name}\n${clip(file.message ?? '', 20)}`];
    return failed.map(
      ({ fullName, failureMessages }) => `${file.name}\n  ${fullName}\n${clip(failureMessages.join('\n'), 20)}`,
    );
  });
}

function clip(text, lines) {
  const all = text.split('\n');
  return all.length <= lines
    ? text
    : `${all.slice(0, lines).join('\n')}\n  (${all.length - lines} more lines in the log)`;
}

function lastLines(text, lines) {
  return text.trimEnd().split('\n').slice(-lines).join('\n');
}
