// How does what a handler returned become a response?
import type { Request, Response } from 'express';
import { localsOf } from './locals.ts';
import { sendProblem } from './problem.ts';
import type { Reply } from './route.ts';

/** Sends it; does nothing when the client is gone. */
export const sendReply = (reply: Reply, req: Request, res: Response): void => {
  if (res.writableEnded || res.destroyed) return;
  if ('stream' in reply) {
    // A stream without an end has no meaning for HEAD.
    if (req.method === 'HEAD') res.status(200).end();
    else reply.stream(res, req);
  } else if ('refusal' in reply) {
    sendProblem(res, reply.refusal, { ...localsOf(res), headers: reply.headers, extensions: reply.extensions });
  } else if ('code' in reply) {
    sendProblem(res, reply, localsOf(res));
  } else {
    res.status(reply.status);
    for (const [name, value] of Object.entries(reply.headers ?? {})) res.setHeader(name, value);
    sendBody(reply.body, res);
  }
};

const sendBody = (body: unknown, res: Response): void => {
  if (body === undefined) {
    res.end();
  } else if ((typeof body === 'string' || Buffer.isBuffer(body)) && res.hasHeader('content-type')) {
    res.end(body);
  } else {
    if (!res.hasHeader('content-type')) res.setHeader('content-type', 'application/json; charset=utf-8');
    res.end(JSON.stringify(body));
  }
};
