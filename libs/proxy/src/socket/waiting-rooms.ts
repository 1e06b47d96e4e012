// Who waits while every instance of a service has all it can take? The first come first, each service for itself, so many and no
// more (the queue of HAProxy's maxconn): a short burst waits instead of being refused, a long one is refused at once.

/** A request that waits. */
export interface Waiter {
  /** Tries again; false when there is still no room. Called at most once a turn of the event loop. */
  tryAgain(): boolean;
}

/** The waiting rooms of all services. As many as services whose instances are full now. */
export class WaitingRooms {
  readonly #rooms = new Map<string, Set<Waiter>>();
  readonly #awake = new Set<string>();
  #size = 0;

  /** Requests that wait, in all. */
  get size(): number {
    return this.#size;
  }

  /** Whether somebody waits for this service: whoever comes now stands behind. */
  isTaken(service: string): boolean {
    return this.#size > 0 && this.#rooms.has(service);
  }

  /** Takes a place; false when there are `most` already. */
  enter(service: string, waiter: Waiter, most: number): boolean {
    let room = this.#rooms.get(service);
    if ((room?.size ?? 0) >= most) return false;
    if (room === undefined) this.#rooms.set(service, (room = new Set()));
    room.add(waiter);
    this.#size += 1;
    return true;
  }

  leave(service: string, waiter: Waiter): void {
    const room = this.#rooms.get(service);
    if (room?.delete(waiter) !== true) return;
    this.#size -= 1;
    if (room.size === 0) this.#rooms.delete(service);
  }

  /** An instance of the service may have room. Costs one comparison while nobody waits. */
  roomAt(service: string): void {
    if (this.#size === 0 || !this.#rooms.has(service)) return;
    // in a turn of its own: the caller is in the middle of ending another request
    if (this.#awake.size === 0) setImmediate(this.#wake);
    this.#awake.add(service);
  }

  readonly #wake = (): void => {
    const services = [...this.#awake];
    this.#awake.clear();
    for (const service of services) {
      for (const waiter of this.#rooms.get(service) ?? []) {
        if (!waiter.tryAgain()) break;
        this.leave(service, waiter);
      }
    }
  };

  /** Lets everybody try: the table may have changed. */
  sweep(): void {
    for (const service of this.#rooms.keys()) this.roomAt(service);
  }
}
