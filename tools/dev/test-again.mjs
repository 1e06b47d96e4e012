// A test failed beside hundreds of others on a busy machine: was it the test or the machine? Its file is run once more, alone. What
// fails twice has failed; what passes alone is passed, and is named at the end as unsteady.
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { runStep } from './test-run.mjs';

/** So many failed files are not bad luck any more. */
const mostFiles = 8;
const minutesEach = 4;

/** Files of a step that failed, by their project's folder. Empty when there are too many, or when the step itself failed. */
export function failedFiles(reports, root) {
  const files = reports.flatMap(({ testResults = [] }) => testResults.filter(isFailed).map(({ name }) => name));
  if (files.length > mostFiles) return new Map();
  const byProject = new Map();
  for (const file of files) {
    const project = relative(root, file).split('/').slice(0, 2).join('/');
    byProject.set(project, [...(byProject.get(project) ?? []), file]);
  }
  return byProject;
}

/** The reports with the outcome of the second run in the place of the first one; `unsteady`: what failed once, `file: test`. */
export function merged(reports, again, root) {
  const second = new Map(again.flatMap(({ testResults = [] }) => testResults.map((result) => [result.name, result])));
  const unsteady = [];
  const all = reports.map((report) => {
    const testResults = (report.testResults ?? []).map((result) => {
      const other = second.get(result.name);
      if (!isFailed(result) || other === undefined) return result;
      if (!isFailed(other)) unsteady.push(...namesOf(result).map((name) => `${relative(root, result.name)}: ${name}`));
      return other;
    });
    return { ...report, testResults, ...countsOf(testResults) };
  });
  return { reports: all, unsteady };
}

/** Runs the failed files of `result` once more, alone; resolves with the result to be counted. Adds `unsteady` to it. */
export async function runAgain(step, result, context) {
  const { root, minutes } = context;
  const projects = failedFiles(result.reports, root);
  if (result.code === 0 || result.code === 124 || projects.size === 0) return { ...result, unsteady: [] };
  const again = [];
  let seconds = 0;
  for (const [project, files] of projects) {
    const file = '.results/again.json';
    const config = project === 'apps/e2e' ? 'apps/e2e/jest.config.mjs' : 'tools/jest/config.mjs';
    // What is counted must come from this run. (Jest makes no folder for it.)
    rmSync(join(root, project, file), { force: true });
    mkdirSync(join(root, project, dirname(file)), { recursive: true });
    const second = await runStep(
      {
        ...step,
        command: [
          'node',
          'node_modules/jest/bin/jest.js',
          '--config',
          config,
          '--rootDir',
          project,
          '--runInBand',
          '--json',
          `--outputFile=${join(project, file)}`,
          '--runTestsByPath',
          ...files,
        ],
        results: { folders: [dirname(project)], file },
        env: { NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning', ...step.env },
      },
      {
        ...context,
        log: context.log.replace(/\.log$/, '-again.log'),
        minutes: Math.min(minutes, minutesEach * files.length),
      },
    );
    seconds += second.seconds;
    again.push(...second.reports);
  }
  const { reports, unsteady } = merged(result.reports, again, root);
  const isClean = reports.every(({ testResults }) => !testResults.some(isFailed));
  return { ...result, reports, unsteady, code: isClean ? 0 : result.code, seconds: result.seconds + seconds };
}

const isFailed = ({ status }) => status === 'failed';

const namesOf = ({ assertionResults = [] }) => {
  const names = assertionResults.filter(isFailed).map(({ fullName }) => fullName);
  return names.length === 0 ? ['the whole file'] : names;
};

const countsOf = (testResults) => {
  const count = (status) =>
    testResults.reduce(
      (sum, { assertionResults = [] }) => sum + assertionResults.filter((one) => one.status === status).length,
      0,
    );
  return {
    numPassedTests: count('passed'),
    numFailedTests: count('failed'),
    numRuntimeErrorTestSuites: testResults.filter(
      (one) => isFailed(one) && (one.assertionResults ?? []).every((test) => !isFailed(test)),
    ).length,
  };
};
