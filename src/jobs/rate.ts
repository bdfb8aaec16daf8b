// Events per second over the last minute.

const WINDOW_MS = 60_000;

export class Rate {
  readonly #now: () => number;
  readonly #startMs: number;
  #events: { readonly atMs: number; readonly count: number }[] = [];

  /** `now` is a clock in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#startMs = now();
  }

  add(count: number): void {
    this.#events.push({ atMs: this.#now(), count });
  }

  perSecond(): number {
    const nowMs = this.#now();
    this.#events = this.#events.filter(({ atMs }) => atMs > nowMs - WINDOW_MS);
    const total = this.#events.reduce((sum, { count }) => sum + count, 0);
    const spanMs = Math.min(WINDOW_MS, nowMs - this.#startMs);
    return spanMs > 0 ? (1000 * total) / spanMs : 0;
  }
}
