// How is a redirect answered? An instance is picked as for forwarding, and the client is told to go there.
import { STATUS_CODES } from 'node:http';
import { countPicked, pickTarget } from '../candidacy.ts';
import type { Candidacy } from '../candidacy.ts';
import type { ForwardDecision } from '../engine.ts';
import { forwardedPath } from '../forwarded-path.ts';
import { headText } from '../head-text.ts';
import { leadsBack, redirectHeaders, redirectLocation } from '../redirect.ts';
import type { ClientConnection } from './client-connection.ts';
import type { RequestFacts } from './request-facts.ts';

/**
 * Answers with the address of an instance; returns whether the client may go on with its connection. Undefined: there is no
 * instance to go to, nothing was sent.
 */
export function redirectRequest(
  client: ClientConnection,
  decision: ForwardDecision,
  { facts, candidacy }: { readonly facts: RequestFacts; readonly candidacy: Candidacy },
): boolean | undefined {
  const { engine } = client;
  let target = pickTarget(engine, decision, candidacy);
  while (target !== undefined && leadsBack(target.origin, facts.authority)) {
    candidacy.excluded.push(target.id);
    candidacy.passedOver.push({ id: target.id, reason: 'a redirect to it would lead back here' });
    target = pickTarget(engine, decision, candidacy);
  }
  if (target === undefined) return undefined;
  countPicked(target);
  engine.counters.redirectsTotal += 1;
  const location = redirectLocation(target.origin, forwardedPath(facts.target, decision), facts.target.query);
  const goOn = client.wantsKeepAlive && !facts.expectsContinue && !engine.draining;
  const headers = redirectHeaders(location, engine.options.announceInstance ? target.id : undefined);
  const more = ['X-Request-Id', facts.requestId, ...(goOn ? [] : ['Connection', 'close'])];
  const startLine = `HTTP/1.1 ${decision.redirectStatus} ${STATUS_CODES[decision.redirectStatus] ?? ''}`;
  client.write(headText(startLine, [...headers, ...more]).replace('\r\n', `\r\n${engine.dateLine}`));
  return goOn;
}
