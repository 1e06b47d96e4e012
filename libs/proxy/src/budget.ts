// How many second attempts may a service get? A share of its requests, so that retries never become the load that keeps a
// service down (Finagle's and Linkerd's retry budget; Envoy's 20 % and 3).

export interface RetryBudgetSettings {
  /** Retries per 100 requests. */
  readonly percent: number;
  /** Always allowed, for services with few requests. */
  readonly atLeastPerSecond: number;
  readonly windowSeconds: number;
}

export const defaultRetryBudget: RetryBudgetSettings = Object.freeze({
  percent: 20,
  atLeastPerSecond: 3,
  windowSeconds: 10,
});

/** The requests and retries of one service in the last seconds, counted by the second. */
export class RetryBudget {
  readonly #settings: RetryBudgetSettings;
  readonly #requests: Uint32Array;
  readonly #retries: Uint32Array;
  #requestSum = 0;
  #retrySum = 0;
  #second = 0;

  constructor(settings: RetryBudgetSettings = defaultRetryBudget) {
    this.#settings = settings;
    this.#requests = new Uint32Array(settings.windowSeconds);
    this.#retries = new Uint32Array(settings.windowSeconds);
  }

  /** Counts a first attempt. Allocates nothing. */
  request(nowMs: number): void {
    const at = this.#slot(nowMs);
    this.#requests[at] = (this.#requests[at] as number) + 1;
    this.#requestSum += 1;
  }

  /** Takes one retry; false when none is left. */
  take(nowMs: number): boolean {
    const at = this.#slot(nowMs);
    const { percent, atLeastPerSecond, windowSeconds } = this.#settings;
    const allowed = Math.max((this.#requestSum * percent) / 100, atLeastPerSecond * windowSeconds);
    if (this.#retrySum + 1 > allowed) return false;
    this.#retries[at] = (this.#retries[at] as number) + 1;
    this.#retrySum += 1;
    return true;
  }

  /** Nothing is left of what was counted. */
  isIdle(nowMs: number): boolean {
    this.#slot(nowMs);
    return this.#requestSum === 0 && this.#retrySum === 0;
  }

  /** Why `take` said no. */
  get refusal(): string {
    const { percent, atLeastPerSecond, windowSeconds } = this.#settings;
    return `the retry budget of its service is used up (${percent} % of the requests of ${windowSeconds} s, at least ${atLeastPerSecond} a second)`;
  }

  /** Forgets the seconds that have left the window, and returns the place of the present one. */
  #slot(nowMs: number): number {
    const size = this.#requests.length;
    const second = Math.floor(nowMs / 1_000);
    for (let passed = Math.min(size, second - this.#second); passed > 0; passed -= 1) {
      const at = (second - passed + 1) % size;
      this.#requestSum -= this.#requests[at] as number;
      this.#retrySum -= this.#retries[at] as number;
      this.#requests[at] = 0;
      this.#retries[at] = 0;
    }
    this.#second = second;
    return second % size;
  }
}

/** The budgets of all services. As many as services that had a request lately: `sweep` forgets the others. */
export class RetryBudgets {
  readonly #budgets = new Map<string, RetryBudget>();

  of(service: string): RetryBudget {
    let budget = this.#budgets.get(service);
    if (budget === undefined) this.#budgets.set(service, (budget = new RetryBudget()));
    return budget;
  }

  sweep(nowMs: number): void {
    for (const [service, budget] of this.#budgets) if (budget.isIdle(nowMs)) this.#budgets.delete(service);
  }
}
