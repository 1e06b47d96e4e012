// Which pages and documents does the control listener show from the dispatcher itself? See ownPages in control-policy.ts.
import { route, type Route } from '@switchyard/http';
import { docsPage } from './docs-page.ts';
import { homePage } from './home-page.ts';
import type { TableKeeper } from './table-keeper.ts';

const asHtml = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
};

/** Routes for `/`, `/docs` and the merged `/v1/openapi.json` of the control listener. */
export const pageRoutes = (options: {
  readonly keeper: TableKeeper;
  readonly documents: { merged(): Promise<object> };
  readonly version: string;
}): Route[] => [
  route({
    method: 'get',
    path: '/control/home',
    summary: 'The status page',
    tags: ['pages'],
    responses: { 200: { description: 'The page', mediaType: 'text/html' } },
    handle: () => ({ status: 200, body: homePage(options.keeper.status(), options.version), headers: asHtml }),
  }),
  route({
    method: 'get',
    path: '/control/docs',
    summary: 'All operations, for people',
    tags: ['pages'],
    responses: { 200: { description: 'The page', mediaType: 'text/html' } },
    handle: async () => ({ status: 200, body: docsPage(await options.documents.merged()), headers: asHtml }),
  }),
  route({
    method: 'get',
    path: '/control/openapi.json',
    summary: 'The API of all services as OpenAPI 3.1',
    tags: ['pages'],
    responses: { 200: { description: 'The document' } },
    handle: async () => ({ status: 200, body: await options.documents.merged() }),
  }),
];
