// What time is it, for all processes of this machine alike? Linux gives them one monotonic clock.

/** Milliseconds of the machine's monotonic clock, with fractions. */
export const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
