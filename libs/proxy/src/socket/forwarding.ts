// What does the route say about forwarding this request: the head that goes out, and how long each state may last?
import type { RouteDecision } from '../engine.ts';
import { forwardedPath } from '../forwarded-path.ts';
import type { ClientConnection } from './client-connection.ts';
import type { RequestFacts } from './request-facts.ts';
import { requestText } from './request-text.ts';

/** A request together with the decision of its route. */
export class Forwarding {
  readonly idleMs: number;
  readonly responseMs: number;
  readonly #client: ClientConnection;
  readonly #decision: RouteDecision;
  readonly #facts: RequestFacts;

  constructor(client: ClientConnection, decision: RouteDecision, facts: RequestFacts) {
    const { timeouts } = client.engine.options;
    const own = decision.action === 'refuse' ? undefined : decision;
    this.idleMs = own?.idleMs ?? timeouts.idleMs;
    this.responseMs = own?.responseMs ?? timeouts.responseMs;
    this.#client = client;
    this.#decision = decision;
    this.#facts = facts;
  }

  /** The head as it goes to the instance with this id, which checks it: its address may be somebody else's by now. */
  text(instance: string): string {
    const client = this.#client;
    const decision = this.#decision;
    const { target, authority, requestId, upgrade, expectsContinue } = this.#facts;
    if (decision.action === 'refuse') return '';
    return requestText({
      bytes: client.bytes,
      head: client.head,
      path: `${forwardedPath(target, decision)}${target.query}`,
      authority,
      forwarded: client.forwarded(authority, decision.stripPrefix),
      via: client.engine.options.via,
      requestId,
      instance,
      upgrade,
      expectsContinue,
    });
  }
}
