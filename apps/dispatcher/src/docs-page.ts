// What can be asked of the control API? Every operation of the OpenAPI document, for people.
import { html, page, type Html } from './html.ts';

interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
}

interface Documented {
  readonly info?: { readonly version?: string };
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly 'x-switchyard-missing'?: readonly string[];
}

/** The page for a merged document. */
export function docsPage(document: object): string {
  const { info, paths = {}, 'x-switchyard-missing': missing = [] } = document as Documented;
  const groups = new Map<string, Html[]>();
  for (const [path, item] of Object.entries(paths)) {
    for (const [method, { summary = '', tags = [] }] of Object.entries(item)) {
      const tag = tags[0] ?? 'other';
      const rows = groups.get(tag) ?? [];
      rows.push(
        html`<tr>
          <td><code>${method.toUpperCase()}</code></td>
          <td><code>${path}</code></td>
          <td>${summary}</td>
        </tr>`,
      );
      groups.set(tag, rows);
    }
  }
  const away = missing.length === 0 ? html`` : html`<p class="no">Cannot be asked now: ${missing.join(', ')}.</p>`;
  const sections = [...groups].map(
    ([tag, rows]) =>
      html`<h2>${tag}</h2>
        <table>
          ${rows}
        </table>`,
  );
  const body = html`<h1>Switchyard API</h1>
    <nav><a href="/">status</a><a href="/v1/openapi.json">OpenAPI ${info?.version ?? ''}</a></nav>
    <p>Errors are problem documents (RFC 9457) with <code>code</code>, <code>why</code> and <code>next</code>.</p>
    ${away}${sections}`;
  return page({ title: 'Switchyard API', body });
}
