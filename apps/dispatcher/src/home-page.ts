// What does a person see at the control listener? Services, instances, and why one of them gets no traffic.
import { html, page, type Html } from './html.ts';
import type { ServiceEntry } from './targets.ts';
import type { TableStatus } from './table-keeper.ts';

/** The page, made of the table as it is now. */
export function homePage({ table, ageMs }: TableStatus, version: string): string {
  const services = [...(table?.services.values() ?? [])].sort((one, other) => (one.name < other.name ? -1 : 1));
  const position = table
    ? html`Routing table: epoch ${table.epoch}, revision ${table.revision}, confirmed ${(ageMs / 1_000).toFixed(1)} s
      ago (${table.source}).`
    : html`<span class="no">No routing table yet: waiting for Redis.</span>`;
  const body = html`<h1>Switchyard</h1>
    <nav>
      <a href="/docs">API</a><a href="/v1/openapi.json">OpenAPI</a><a href="/v1/services">services</a
      ><a href="/v1/dispatchers">dispatcher</a><a href="/v1/redis/groups">Redis</a><a href="/v1/backups">backups</a
      ><a href="/v1/events">events</a><a href="/readyz?verbose">readiness</a><a href="/metrics">metrics</a>
    </nav>
    <p>${position} Version ${version}.</p>
    ${services.map(serviceSection)} ${services.length === 0 ? html`<p>No services are registered.</p>` : html``}`;
  return page({ title: 'Switchyard', body, refreshSeconds: 5 });
}

function serviceSection(entry: ServiceEntry): Html {
  const reasons = new Map(entry.whyNot.map(({ id, reason }) => [id, reason]));
  const note = entry.lastResort ? html` <span class="no">nobody is eligible: suspects take the traffic</span>` : html``;
  const rows = entry.instances.map((instance) => {
    const reason = reasons.get(instance.id);
    const traffic = reason === undefined ? html`<span class="yes">yes</span>` : html`<span class="no">${reason}</span>`;
    return html`<tr>
      <td><code>${instance.id}</code></td>
      <td>${instance.url}</td>
      <td>${instance.weight}</td>
      <td>${instance.liveness}</td>
      <td>${instance.intent}</td>
      <td>${traffic}</td>
    </tr>`;
  });
  return html`<h2>${entry.name}</h2>
    <p>${entry.policy.policy}${note}</p>
    <table>
      <tr>
        <th>instance</th>
        <th>address</th>
        <th>weight</th>
        <th>liveness</th>
        <th>intent</th>
        <th>traffic</th>
      </tr>
      ${rows}
    </table>`;
}
