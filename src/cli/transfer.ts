// Bytes on their way, as a line of a terminal: "1.2 of 24.6 GB, 5 %, 85.1 MB/s, 4 min 35 s left".

import { formatBytes, formatSeconds } from "../hub/format-bytes.ts";
import type { PullProgress } from "../index.ts";

export { formatBytes, formatSeconds };

/** The rate is that of the last so many seconds: an old one tells nothing of a network now. */
const WINDOW_MS = 10_000;

/** Follows one transfer; `line` gives the words for where it is now. */
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
    // Neither before a second state nor while a damaged part is thrown away.
    if (bytesPerMs > 0 && Number.isFinite(bytesPerMs)) {
      parts.push(`${formatBytes(bytesPerMs * 1000)}/s`);
      parts.push(`${formatSeconds((totalBytes - doneBytes) / bytesPerMs / 1000)} left`);
    }
    return parts.join(", ");
  }
}
