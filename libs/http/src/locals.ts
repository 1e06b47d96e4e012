// What does Express carry from one step of a request to the next?
import type { Response } from 'express';

/** What is known about a request from its first moment on. */
export interface Locals {
  requestId: string;
  instance: string;
  /** The pattern of the route that answers, for metrics. */
  route?: string;
  /** Methods that the path knows, collected when no route answered. */
  allowed?: Set<string>;
}

/** The locals of a response, which the first step of the API fills. */
export const localsOf = (res: Response): Locals => res.locals as Locals;
