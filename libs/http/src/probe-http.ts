// Does the path of its check answer with 2xx or 3xx? Only the head is waited for.
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { get as getOverTls } from 'node:https';
import type { Instance } from '@switchyard/protocol';
import { faultOf, impostor } from './probe-ending.ts';
import type { Asking, Ending, Question } from './probe-ending.ts';

function answerOf(instance: Instance, response: IncomingMessage): Ending {
  const status = response.statusCode ?? 0;
  const outcome = status >= 200 && status < 400 ? 'answered' : 'failed';
  const own: Ending = { outcome, detail: `its check answered ${status}`, heard: true };
  return impostor(instance, response.headers['switchyard-instance']) ?? own;
}

/** Asks with one GET on a connection of its own. */
export function askOverHttp({ instance, url, end }: Question): Asking {
  const ask = url.protocol === 'https:' ? getOverTls : get;
  return ask(url, { agent: false }, (response) => end(answerOf(instance, response))).on('error', (error) =>
    end(faultOf(error)),
  );
}
