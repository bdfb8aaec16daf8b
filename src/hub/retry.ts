// Tries again what failed for a reason that may pass, with a pause that doubles.

import { setTimeout as sleep } from "node:timers/promises";
import { FetchError } from "../errors.ts";

/** Tries in a row that may fail without any progress. */
const MAX_TRIES = 5;
const MAX_PAUSE_MS = 60_000;

export interface RetryOptions {
  /** Pause before the second try. */
  readonly backoffMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Grows with what was achieved: a try that moved it on does not count as failed. */
  readonly progress?: () => number;
}

/** The result of the first try that succeeds; throws at once what is no FetchError with `canRetry`. */
export async function withRetries<T>(attempt: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { backoffMs, signal, progress = () => 0 } = options;
  for (let failed = 0; ; ) {
    const before = progress();
    try {
      signal?.throwIfAborted();
      return await attempt();
    } catch (error) {
      if (!(error instanceof FetchError && error.canRetry)) throw error;
      failed = progress() > before ? 1 : failed + 1;
      if (failed >= MAX_TRIES) throw error;
      const pauseMs = Math.max(backoffMs * 2 ** (failed - 1), error.retryAfterMs);
      await sleep(Math.min(pauseMs, MAX_PAUSE_MS), undefined, { ...(signal && { signal }) });
    }
  }
}
