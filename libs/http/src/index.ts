export { createApi } from './api.ts';
export type { ApiOptions, Exchange } from './api.ts';
export { openApiDocument } from './openapi.ts';
export type { OpenApiOptions } from './openapi.ts';
export { probe } from './probe.ts';
export type { ProbeEnd } from './probe-ending.ts';
export { instanceOf, sendProblem } from './problem.ts';
export type { ErrorToRefusal, Occurrence } from './problem.ts';
export { route } from './route.ts';
export type {
  ApiRequest,
  Method,
  PlainReply,
  RefusalReply,
  Reply,
  ResponseDoc,
  Route,
  StreamReply,
  TypedRoute,
} from './route.ts';
export { httpServer, ListenError } from './server.ts';
export type { HttpServer, HttpServerOptions } from './server.ts';
export type { Upgrade } from './upgrade.ts';
export { frameOf, keepAliveChunk, lastEventId, openSse, sseChunk } from './sse.ts';
export type { SseChunk, SseEvent, SseOptions, SseStream } from './sse.ts';
