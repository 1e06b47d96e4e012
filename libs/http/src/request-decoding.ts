// What does a request say? Its path, query and body, decoded once and with all faults at once.
import type { IncomingMessage } from 'node:http';
import { decode, RefusalError } from '@switchyard/protocol';
import type { Refusal } from '@switchyard/protocol';
import type { NextFunction, Request, Response } from 'express';
import type { Route } from './route.ts';

const hasBody = (req: IncomingMessage): boolean =>
  req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;

/** Runs before the body is read: a wrong type is refused without reading it. */
export const requireJson = (req: Request, _res: Response, next: NextFunction): void => {
  if (!hasBody(req)) {
    // An empty body is no body, and not the empty object that the parser would make of it.
    next();
    return;
  }
  const type = (req.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === 'application/json' || /^application\/[\w.-]+\+json$/.test(type)) {
    next();
    return;
  }
  const detail = type === '' ? 'the body has no Content-Type' : `the body is ${type.slice(0, 100)}, not JSON`;
  next(new RefusalError({ code: 'unsupported_media_type', detail }));
};

/** All faults of path, query and body at once. */
export const decodeRequest = (
  one: Route,
  req: Request,
): { readonly params: unknown; readonly query: unknown; readonly body: unknown } | { readonly refusal: Refusal } => {
  const parts = {
    path: { ...req.params },
    query: { ...req.query },
    body: hasBody(req) ? (req.body as unknown) : undefined,
  };
  const schemas = { path: one.params, query: one.query, body: one.body };
  const values: Record<string, unknown> = {};
  const faults: Refusal[] = [];
  for (const part of ['path', 'query', 'body'] as const) {
    const schema = schemas[part];
    if (schema === undefined) {
      values[part] = part === 'body' ? undefined : parts[part];
      continue;
    }
    const result = decode(schema, parts[part], `the ${part}`);
    if (result.ok) values[part] = result.value;
    else faults.push(result.error);
  }
  const [first] = faults;
  if (first === undefined) return { params: values['path'], query: values['query'], body: values['body'] };
  return { refusal: { ...first, why: faults.flatMap((fault) => fault.why ?? []) } };
};
