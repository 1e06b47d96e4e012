// Which settings does the command line have? Where the control listener is: `--url` over SWITCHYARD_URL over the local one.
import { env } from 'node:process';
import { usageFailure } from './failure.ts';

const defaultUrl = 'http://127.0.0.1:4710';

/** The environment of this process. */
export const environment: NodeJS.ProcessEnv = env;

/** The URL that is meant, without a slash at its end. Throws a usage Failure when it is none. */
export function urlSetting(given: string | undefined, from: NodeJS.ProcessEnv): string {
  const url = given ?? (from['SWITCHYARD_URL'] || defaultUrl);
  if (/^https?:\/\//.test(url) && URL.canParse(url)) return url.replace(/\/+$/, '');
  throw usageFailure(`${JSON.stringify(url)} is no URL.`, `Write it as ${defaultUrl}.`);
}
