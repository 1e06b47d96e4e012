// How is a service traced? OpenTelemetry NodeSDK with http, express and ioredis; imported only when telemetry is on.
import type { IncomingMessage, RequestOptions } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { ExpressInstrumentation, ExpressLayerType } from '@opentelemetry/instrumentation-express';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { IORedisInstrumentation } from '@opentelemetry/instrumentation-ioredis';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { withDeadline } from './deadline.ts';
import { telemetryHandle } from './telemetry-handle.ts';

/** A collector that is away must not hold up the end of a service. */
const shutdownDeadlineMs = 2_000;
/** Asked for every few seconds by probes and scrapers; their spans would drown the others. */
const probePaths: ReadonlySet<string> = new Set(['/livez', '/readyz', '/metrics']);
const defaultTrafficPort = 4700;

/** Starts the SDK and fills `telemetryHandle`. Traces go to OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318). */
export const startTelemetry = async (env: NodeJS.ProcessEnv, mainFile: string): Promise<void> => {
  await hookImports();
  // Else the SDK exports metrics and logs as well, to the same collector.
  env['OTEL_METRICS_EXPORTER'] ??= 'none';
  env['OTEL_LOGS_EXPORTER'] ??= 'none';
  const trafficPort = Number(env['SWITCHYARD_DISPATCHER_TRAFFIC_PORT'] || defaultTrafficPort);
  const sdk = new NodeSDK({
    serviceName: env['OTEL_SERVICE_NAME'] ?? serviceNameOf(mainFile),
    traceExporter: new OTLPTraceExporter(),
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [
      new HttpInstrumentation({
        ignoreIncomingRequestHook: (request) => isProbe(request) || request.socket.localPort === trafficPort,
        ignoreOutgoingRequestHook: isDataPlane,
      }),
      // A span for each middleware says nothing that the request's own span does not say.
      new ExpressInstrumentation({ ignoreLayersType: [ExpressLayerType.MIDDLEWARE] }),
      new IORedisInstrumentation({ requireParentSpan: true }),
    ],
  });
  sdk.start();
  telemetryHandle.shutdown = () => withDeadline(sdk.shutdown(), shutdownDeadlineMs, 'the end of telemetry');
};

/**
 * Makes ES imports visible to instrumentation, in this thread (the asynchronous loader costs a thread, 1 s and 45 MB more). The
 * copy of import-in-the-middle must be the one that @opentelemetry/instrumentation uses, so it is resolved from there.
 */
const hookImports = async (): Promise<void> => {
  const fromInstrumentation = createRequire(import.meta.resolve('@opentelemetry/instrumentation'));
  const file = fromInstrumentation.resolve('import-in-the-middle/register-hooks.mjs');
  const hooks = (await import(pathToFileURL(file).href)) as { register(options: { include: string[] }): void };
  hooks.register({ include: ['express', 'ioredis', 'http', 'node:http', 'https', 'node:https'] });
};

const isProbe = (request: IncomingMessage): boolean => probePaths.has((request.url ?? '').split('?', 1)[0] ?? '');

/** The proxy marks its agents: spans cost more than the request itself there. */
const isDataPlane = (options: RequestOptions): boolean => {
  const agent = options.agent as
    { readonly options?: { readonly switchyardDataPlane?: boolean } } | boolean | undefined;
  return typeof agent === 'object' && agent.options?.switchyardDataPlane === true;
};

/** `apps/registry/src/main.ts` is switchyard-registry. */
const serviceNameOf = (mainFile: string): string => {
  const app = /apps\/([^/]+)\//.exec(mainFile.replaceAll('\\', '/'))?.[1];
  return app === undefined ? 'switchyard' : `switchyard-${app}`;
};
