// How is text put into a page without becoming part of its structure?

/** A piece of HTML; everything else is escaped when it is put into one. */
export interface Html {
  readonly html: string;
}

type Part = string | number | Html | readonly Html[];

/** A template tag: what is inserted is escaped unless it is Html itself. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  let text = strings[0] ?? '';
  for (const [index, part] of parts.entries()) text += `${textOf(part)}${strings[index + 1] ?? ''}`;
  return { html: text };
}

/** A whole page. `refreshSeconds` makes the browser load it again. */
export function page(options: {
  readonly title: string;
  readonly body: Html;
  readonly refreshSeconds?: number;
}): string {
  const refresh =
    options.refreshSeconds === undefined
      ? html``
      : html`<meta http-equiv="refresh" content="${options.refreshSeconds}" />`;
  const whole = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        ${refresh}
        <title>${options.title}</title>
        <style>
          :root {
            color-scheme: light dark;
          }
          body {
            font:
              15px/1.5 system-ui,
              sans-serif;
            margin: 2rem auto;
            max-width: 70rem;
            padding: 0 1rem;
          }
          table {
            border-collapse: collapse;
            width: 100%;
            margin: 0.5rem 0 1.5rem;
          }
          th,
          td {
            text-align: left;
            padding: 0.25rem 0.75rem 0.25rem 0;
            border-bottom: 1px solid #8884;
            vertical-align: top;
          }
          code {
            font-size: 0.95em;
          }
          nav a {
            margin-right: 1rem;
          }
          .no {
            color: #b00;
          }
          .yes {
            color: #080;
          }
        </style>
      </head>
      <body>
        ${options.body}
      </body>
    </html> `;
  return whole.html;
}

function textOf(part: Part): string {
  if (typeof part === 'string' || typeof part === 'number') return escaped(String(part));
  return 'html' in part ? part.html : part.map((one) => one.html).join('');
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}
