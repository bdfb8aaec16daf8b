// Bytes on their way, as a line of a terminal: "1.2 of 24.6 GB, 5 %, 85.1 MB/s, 4 min 35 s left".

import type { PullProgress } from "../index.ts";

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

/** 1234567 -> "1.2 MB"; in steps of 1000, as disks and networks are sold. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 999.95 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** 275 -> "4 min 35 s" */
export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
