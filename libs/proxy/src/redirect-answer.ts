// How is a redirect answered? An instance is picked as for forwarding, and the client is told to go there.
import { countPicked, giveUp, pickTarget, type Candidacy } from './candidacy.ts';
import type { ForwardDecision } from './engine.ts';
import { finish, linger, refuse, type Exchange } from './exchange.ts';
import { forwardedPath } from './forwarded-path.ts';
import { leadsBack, redirectHeaders, redirectLocation } from './redirect.ts';

/** Answers with the address of an instance, or refuses with the reason of each. */
export function redirect(exchange: Exchange, decision: ForwardDecision): void {
  const { engine, res, head } = exchange;
  const candidacy: Candidacy = { excluded: [], passedOver: [] };
  let target = pickTarget(engine, decision.service, candidacy);
  while (target !== undefined && leadsBack(target.origin, head.authority)) {
    candidacy.excluded.push(target.id);
    candidacy.passedOver.push({ id: target.id, reason: 'a redirect to it would lead back here' });
    target = pickTarget(engine, decision.service, candidacy);
  }
  if (target === undefined) {
    refuse(exchange, giveUp(exchange, decision, candidacy));
    return;
  }
  countPicked(target);
  engine.counters.redirectsTotal += 1;
  const location = redirectLocation(target.origin, forwardedPath(head.target, decision), head.target.query);
  const headers = [
    ...redirectHeaders(location, engine.options.announceInstance ? target.id : undefined),
    'X-Request-Id',
    exchange.requestId,
  ];
  if (exchange.expectsContinue || engine.isDraining()) headers.push('Connection', 'close');
  res.writeHead(decision.redirectStatus, headers);
  res.end();
  finish(exchange, { end: 'answered', status: decision.redirectStatus });
  linger(exchange);
}
