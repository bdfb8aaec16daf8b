// Progress of a transfer, as one line of a terminal: "1.2 of 24.6 GB, 5 %, 85.1 MB/s, 4 min 35 s left".

import { formatBytes, formatSeconds } from "../hub/format-bytes.ts";
import type { PullProgress } from "../index.ts";

export { formatBytes, formatSeconds };

/** The rate covers the last few seconds; an older one says nothing about the network now. */
const WINDOW_MS = 10_000;

/** Follows one transfer; `line` describes its current state. */
export class Transfer {
  readonly #now: () => number;
  readonly #states: { readonly atMs: number; readonly doneBytes: number }[] = [];

  /** `now` is a clock in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  line({ doneBytes, totalBytes }: PullProgress): string {
    const atMs = this.#now();
    this.#states.push({ atMs, doneBytes });
    while (this.#states.length > 2 && this.#states[1]!.atMs <= atMs - WINDOW_MS) this.#states.shift();
    const first = this.#states[0]!;
    const bytesPerMs = (doneBytes - first.doneBytes) / (atMs - first.atMs);
    const percent = totalBytes === 0 ? 100 : Math.floor((100 * doneBytes) / totalBytes);
    const parts = [`${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`, `${percent} %`];
    // Not before the second state, nor while a damaged part is discarded.
    if (bytesPerMs > 0 && Number.isFinite(bytesPerMs)) {
      parts.push(`${formatBytes(bytesPerMs * 1000)}/s`);
      parts.push(`${formatSeconds((totalBytes - doneBytes) / bytesPerMs / 1000)} left`);
    }
    return parts.join(", ");
  }
}
