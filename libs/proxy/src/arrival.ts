// What becomes of a request that just came in? It is checked, routed, and then refused, redirected or forwarded.
import type { EngineContext } from './engine-context.ts';
import { openExchange, refuse, type Arrival } from './exchange.ts';
import { forward } from './forward.ts';
import { redirect } from './redirect-answer.ts';
import { checkHead, type CheckedHead } from './request-check.ts';
import { timesSeen } from './request-headers.ts';
import { hostOf } from './request-target.ts';

const noHead: CheckedHead = {
  target: { authority: undefined, path: '/', forwardPath: '/', query: '' },
  authority: '',
  framing: { kind: 'none' },
};
// More hops through dispatchers of the same name than anybody needs: the request runs in a circle.
const mostHops = 4;

/** Begins the exchange of one request. Never throws. */
export function receive(engine: EngineContext, arrival: Arrival): void {
  const { req } = arrival;
  const method = req.method ?? '';
  const headers = req.rawHeaders;
  const checked = checkHead({ method, target: req.url ?? '', httpVersion: req.httpVersion, headers });
  const exchange = openExchange(engine, { ...arrival, head: checked.ok ? checked.value : noHead });
  if (!checked.ok) {
    refuse(exchange, checked.error);
    return;
  }
  if (timesSeen(headers, engine.options.via) >= mostHops) {
    refuse(exchange, { code: 'bad_upstream', detail: 'The request runs in a circle through this dispatcher.' });
    return;
  }
  const { target, authority } = checked.value;
  const decision = engine.options.policy.route({ method, host: hostOf(authority), path: target.path, headers });
  if (decision.action === 'refuse') {
    refuse(exchange, decision.refusal);
    return;
  }
  exchange.decision = decision;
  if (decision.action === 'redirect') redirect(exchange, decision);
  else forward(exchange, decision);
}
