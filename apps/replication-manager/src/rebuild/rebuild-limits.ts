// How long may a node take until it has a copy of everything?

/** A copy that takes longer is told as failed; the node goes on by itself. */
export const copyDeadlineMs = 2 * 3_600_000;
