// How does a service end the telemetry that a preload started before it? One slot, filled at most once, by telemetry.ts only.

/** `shutdown` flushes and ends the SDK, bounded in time; absent when telemetry is off. */
export const telemetryHandle: { shutdown?: () => Promise<void> } = {};
