// When did a service last change? So that whoever waits for one service is not woken by another.

/** More services than that are forgotten together: whoever waits is then woken once too often, never once too seldom. */
const MOST_SERVICES = 100_000;

/** Revisions of the last change of each service, removals included. */
export interface ServiceRevisions {
  /** Of one service, or of any when undefined. At least the revision from which changes are known. */
  of(service: string | undefined): number;
  moved(service: string, revision: number): void;
  /** All may have changed up to `revision`. */
  reset(revision: number): void;
}

export function createServiceRevisions(mostServices = MOST_SERVICES): ServiceRevisions {
  const revisions = new Map<string, number>();
  let floor = 0;
  let latest = 0;
  const reset = (revision: number): void => {
    revisions.clear();
    floor = latest = revision;
  };
  return {
    of: (service) => (service === undefined ? latest : (revisions.get(service) ?? floor)),
    moved(service, revision) {
      if (revisions.size >= mostServices && !revisions.has(service)) reset(revision);
      revisions.set(service, revision);
      latest = revision;
    },
    reset,
  };
}
