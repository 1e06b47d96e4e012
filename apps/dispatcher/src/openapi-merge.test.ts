import { docsPage } from './docs-page.ts';
import { html, page } from './html.ts';
import { mergeOpenApi } from './openapi-merge.ts';

const merged = mergeOpenApi(
  [
    {
      app: 'registry',
      document: {
        paths: {
          '/v1/services': { get: { summary: 'All <services>', tags: ['catalog'] } },
          '/livez': { get: { summary: 'not this' } },
        },
        components: { schemas: { A: { first: true } } },
      },
    },
    { app: 'backup-worker', document: undefined },
    {
      app: 'dispatcher',
      document: {
        paths: { '/livez': { get: { summary: 'this' } }, '/control/home': {} },
        components: { schemas: { A: { second: true }, B: {} } },
      },
    },
  ],
  { version: '1.2.3' },
);

describe('the merged API document', () => {
  it('has every path and schema once, without what is only for the pages', () => {
    expect(merged).toMatchObject({
      openapi: '3.1.1',
      info: { version: '1.2.3' },
      paths: { '/livez': { get: { summary: 'this' } }, '/v1/services': {} },
      components: { schemas: { A: { first: true }, B: {} } },
    });
    expect(merged).not.toHaveProperty(['paths', '/control/home']);
  });

  it('names the owners that could not be asked', () => {
    expect(merged).toMatchObject({ 'x-switchyard-missing': ['backup-worker'] });
  });

  it('is shown to people with everything escaped', () => {
    const shown = docsPage(merged);
    expect(shown).toContain('All &#60;services&#62;');
    expect(shown).toContain('Cannot be asked now: backup-worker.');
    expect(shown.startsWith('<!doctype html>')).toBe(true);
  });
});

describe('pages', () => {
  it('never take what is put into them for markup', () => {
    const evil = '"><script>alert(1)</script>';
    const text = page({ title: evil, body: html`<p title="${evil}">${[html`<b>${evil}</b>`]}</p>` });
    expect(text).not.toContain('<script>');
    expect(text).toContain('<b>&#34;&#62;&#60;script&#62;');
  });
});
