// Are traces wanted? Loaded before a service by `node --import @switchyard/runtime/telemetry`; off costs two look-ups.
//
// On when OTEL_EXPORTER_OTLP_ENDPOINT is set or SWITCHYARD_TELEMETRY=on; SWITCHYARD_TELEMETRY=off wins over both. The SDK (some
// 50 MB and 0.4 s) is imported only then. Metrics are not exported here: /metrics of each service has them.

/** True when this environment asks for telemetry. */
const telemetryWanted = (env: NodeJS.ProcessEnv): boolean => {
  const asked = (env['SWITCHYARD_TELEMETRY'] ?? '').toLowerCase();
  if (asked === 'off' || env['OTEL_SDK_DISABLED'] === 'true') return false;
  return asked === 'on' || (env['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? '') !== '';
};

if (telemetryWanted(process.env)) {
  try {
    const { startTelemetry } = await import('./telemetry-sdk.ts');
    await startTelemetry(process.env, process.argv[1] ?? '');
  } catch (error) {
    // A service without traces is better than no service.
    process.stderr.write(`telemetry did not start, the service goes on without it: ${String(error)}\n`);
  }
}
