// What is one endpoint: its method, path, schemas and handler? Declared as data, so that the API and its OpenAPI cannot differ.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Refusal } from '@switchyard/protocol';
import type { z } from 'zod';

/** The methods that a route may answer; GET answers HEAD too. */
export type Method = 'get' | 'put' | 'post' | 'patch' | 'delete';

/** What a handler gets: everything from outside is decoded already. */
export interface ApiRequest<P = unknown, Q = unknown, B = unknown> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly headers: IncomingHttpHeaders;
  readonly requestId: string;
  /** Aborts when the client goes away or the request's time is over. */
  readonly signal: AbortSignal;
  readonly raw: { readonly req: IncomingMessage; readonly res: ServerResponse };
}

/** An answer. A string or Buffer with a content-type header is sent as it is, any other body as JSON. */
export interface PlainReply {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}
/** The handler writes the response by itself and ends it; no deadline holds any more. */
export interface StreamReply {
  readonly stream: (res: ServerResponse, req: IncomingMessage) => void;
}
/** A refusal that needs headers or members of its own. */
export interface RefusalReply {
  readonly refusal: Refusal;
  /** Extension members of the problem document (RFC 9457 3.2); they cannot replace the standard ones. */
  readonly extensions?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}
/** What a handler returns. A bare Refusal becomes a problem document with the status of the error table. */
export type Reply = PlainReply | StreamReply | RefusalReply | Refusal;

/** Documentation of one status. */
export interface ResponseDoc {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** application/json unless given. */
  readonly mediaType?: string;
}

interface RouteFacts {
  readonly method: Method;
  /** `/v1/things/:id`; a colon names a parameter only after a slash, so `/v1/routes:test` is plain text. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly responses: Readonly<Record<number, ResponseDoc>>;
  /** Over the API's own; for endpoints that wait for something. */
  readonly timeoutMs?: number;
}

/** A route as `createApi` takes it. Made by `route`. */
export interface Route extends RouteFacts {
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly handle: (request: ApiRequest) => Reply | Promise<Reply>;
}

/** A route with the types of its schemas. */
export interface TypedRoute<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> extends RouteFacts {
  /** All values are strings; the percent-encoding is gone. */
  readonly params?: P;
  /** All values are strings, or lists when a key is repeated: use z.coerce. Only a strict schema refuses unknown keys. */
  readonly query?: Q;
  /** JSON. Without it the route has no body. An absent body is decoded as undefined. */
  readonly body?: B;
  readonly handle: (request: ApiRequest<z.output<P>, z.output<Q>, z.output<B>>) => Reply | Promise<Reply>;
}

/** Declares an endpoint; the handler's request has the types of the schemas. */
export const route = <
  P extends z.ZodType = z.ZodType<Readonly<Record<string, string>>>,
  Q extends z.ZodType = z.ZodType<Readonly<Record<string, string | string[] | undefined>>>,
  B extends z.ZodType = z.ZodUndefined,
>(
  definition: TypedRoute<P, Q, B>,
  // The handler only ever gets what the schemas of the same object have decoded.
): Route => definition as unknown as Route;

/** Path syntax of Express (path-to-regexp 8): everything but `/:name` is literal. */
export const expressPath = (path: string): string =>
  path.replace(
    /(^|\/):([A-Za-z_]\w*)|[:*(){}[\]+?!\\]/g,
    (match, slash: string | undefined, name: string | undefined) =>
      name === undefined ? `\\${match}` : `${slash ?? ''}:${name}`,
  );

/** Path syntax of OpenAPI: `/v1/things/{id}`. */
export const openApiPath = (path: string): string => path.replace(/\/:([A-Za-z_]\w*)/g, '/{$1}');
