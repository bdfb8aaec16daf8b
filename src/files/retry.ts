// Tries again what failed for a reason that may pass, with a pause that doubles, or for as long as the server asks.

import { FetchError } from "../errors.ts";

/** Tries in a row that may fail without any progress. */
const MAX_TRIES = 5;
/** A server that names the pause is asked more often: it is there, and has it in its hands. */
const MAX_ASKED_TRIES = 50;
const MAX_BACKOFF_MS = 60_000;
/** The longest that a timer can be. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface RetryOptions {
  /** Pause before the second try. */
  readonly backoffMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Grows with what was achieved: a try that moved it on does not count as failed. */
  readonly progress?: () => number;
  /** Told before a pause that the server asked for. */
  readonly onPause?: ((pauseMs: number, error: FetchError) => void) | undefined;
}

/** The result of the first try that succeeds; throws at once what is no FetchError with `canRetry`. */
export async function withRetries<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { backoffMs, signal, progress = () => 0, onPause } = options;
  let failed = 0;
  let asked = 0;
  for (;;) {
    const before = progress();
    try {
      signal?.throwIfAborted();
      return await attempt();
    } catch (error) {
      if (!(error instanceof FetchError && error.canRetry)) throw error;
      const { retryAfterMs } = error;
      if (progress() > before) failed = asked = 0;
      if (retryAfterMs > 0 ? ++asked >= MAX_ASKED_TRIES : ++failed >= MAX_TRIES) throw error;
      if (retryAfterMs > 0) onPause?.(retryAfterMs, error);
      await pause(Math.max(retryAfterMs, Math.min(backoffMs * 2 ** (failed - 1), MAX_BACKOFF_MS)), signal);
    }
  }
}

/** Returns early at the signal's abort. */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  for (let rest = ms; rest > 0 && !signal?.aborted; rest -= MAX_TIMER_MS) {
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, Math.min(rest, MAX_TIMER_MS));
      signal?.addEventListener("abort", end);
    });
  }
}
