// What does an engine count? Plain numbers, raised on the way, read at scrape.

/** Counters while they are raised; DataPlaneStats is how others see them. */
export interface EngineCounters {
  connections: number;
  connectionsTotal: number;
  connectionsDropped: number;
  requestsTotal: number;
  retriesTotal: number;
  retriesRefusedTotal: number;
  hedgesTotal: number;
  queuedTotal: number;
  redirectsTotal: number;
  clientAbortsTotal: number;
  truncatedTotal: number;
  readonly answersByClass: number[];
  readonly refusalsByCode: Record<string, number>;
}

/** All zero. */
export function createCounters(): EngineCounters {
  return {
    connections: 0,
    connectionsTotal: 0,
    connectionsDropped: 0,
    requestsTotal: 0,
    retriesTotal: 0,
    retriesRefusedTotal: 0,
    hedgesTotal: 0,
    queuedTotal: 0,
    redirectsTotal: 0,
    clientAbortsTotal: 0,
    truncatedTotal: 0,
    answersByClass: [0, 0, 0, 0, 0, 0],
    refusalsByCode: {},
  };
}

/** Counts a refusal; the codes are those of the error table, so the record stays small. */
export function countRefusal(counters: EngineCounters, code: string): void {
  counters.refusalsByCode[code] = (counters.refusalsByCode[code] ?? 0) + 1;
}

/** Counts an answer of an instance by its class. */
export function countAnswer({ answersByClass }: EngineCounters, status: number): void {
  const at = Math.trunc(status / 100);
  answersByClass[at] = (answersByClass[at] ?? 0) + 1;
}
