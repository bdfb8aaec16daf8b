// Work that is done one piece at a time, in the order it was asked for.

export class Turns {
  #isTaken = false;
  readonly #waiting: (() => void)[] = [];

  /**
   * Does `work` when its turn comes. What of it belongs to somebody else, such as a callback, runs in `pause`: others may work
   * meanwhile, so that it may wait for them. Rejects with the signal's reason where that aborts before.
   */
  async take<T>(work: (pause: Pause) => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter("last", signal);
    try {
      return await work(async (callback) => {
        const result = callback();
        if (typeof (result as PromiseLike<unknown> | undefined)?.then !== "function") return result;
        this.#leave();
        try {
          return await result;
        } finally {
          await this.#enter("first");
        }
      });
    } finally {
      this.#leave();
    }
  }

  async #enter(place: "first" | "last", signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!this.#isTaken) {
      this.#isTaken = true;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const enter = () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      };
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal!.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      if (place === "first") this.#waiting.unshift(enter);
      else this.#waiting.push(enter);
    });
  }

  /** The turn passes to the next one without ever being free: nobody can push in. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#isTaken = false;
  }
}

export type Pause = <T>(callback: () => T | PromiseLike<T>) => Promise<T>;
