// What does the API look like to a program? OpenAPI 3.1 made from the same routes that serve it.
import { problemMediaType, problemSchema } from '@switchyard/protocol';
import { createDocument } from 'zod-openapi';
import type { ZodOpenApiOperationObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import type { ResponseDoc, Route } from './route.ts';
import { openApiPath } from './route.ts';

/** What an API document is made of. */
export interface OpenApiOptions {
  readonly title: string;
  readonly version: string;
  readonly description?: string;
  readonly routes: readonly Route[];
}

/** The OpenAPI 3.1.1 document as plain JSON. Throws when a schema cannot be shown (a transform in a response). */
export const openApiDocument = (options: OpenApiOptions): object => {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const one of options.routes) {
    (paths[openApiPath(one.path)] ??= {})[one.method] = operationOf(one);
  }
  const { title, version, description } = options;
  return createDocument({
    openapi: '3.1.1',
    info: { title, version, ...(description !== undefined && { description }) },
    paths: paths,
  });
};

const operationOf = (one: Route): ZodOpenApiOperationObject => {
  const responses: Record<string, unknown> = {};
  for (const [status, doc] of Object.entries(one.responses)) responses[status] = responseOf(Number(status), doc);
  responses['default'] = {
    description: 'A problem, with its code, the reasons and what to do next',
    content: { [problemMediaType]: { schema: problemSchema } },
  };
  const requestParams = { ...(one.params && { path: one.params }), ...(one.query && { query: one.query }) };
  return {
    operationId: operationIdOf(one),
    summary: one.summary,
    ...(one.description !== undefined && { description: one.description }),
    ...(one.tags && { tags: [...one.tags] }),
    ...(Object.keys(requestParams).length > 0 && { requestParams: requestParams as never }),
    ...(one.body && {
      requestBody: {
        required: !one.body.safeParse(undefined).success,
        content: { 'application/json': { schema: one.body } },
      },
    }),
    responses: responses as ZodOpenApiResponsesObject,
  };
};

const responseOf = (status: number, { description, schema, mediaType }: ResponseDoc): object => {
  const type = mediaType ?? (status >= 400 ? problemMediaType : 'application/json');
  const shown = schema ?? (status >= 400 ? problemSchema : undefined);
  if (shown !== undefined) return { description, content: { [type]: { schema: shown } } };
  return { description, ...(mediaType !== undefined && { content: { [mediaType]: {} } }) };
};

/** `get /v1/services/:service/instances` is getServicesByServiceInstances: stable as long as the path is. */
const operationIdOf = ({ method, path }: Route): string =>
  method +
  path
    .split(/[/:.-]+(?=\w)|\/(?=:)/)
    .join('/')
    .split('/')
    .filter((part) => part !== '' && part !== 'v1')
    .map((part) => (part[0] ?? '').toUpperCase() + part.slice(1))
    .join('');
