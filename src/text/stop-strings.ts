// Ends an answer at a stop string. Text arrives in arbitrary pieces, so a possible start of a stop string is held back until
// it is decided: no part of a stop string is ever returned.

export class StopStrings {
  readonly #strings: readonly string[];
  #held = "";
  #hasStopped = false;

  constructor(strings: readonly string[]) {
    this.#strings = strings;
  }

  /** Whether a stop string was found; nothing is returned after it. */
  get hasStopped(): boolean {
    return this.#hasStopped;
  }

  /** The text that certainly precedes any stop string. */
  push(piece: string): string {
    if (this.#hasStopped) return "";
    const text = this.#held + piece;
    const found = this.#find(text);
    this.#hasStopped = found !== undefined;
    const end = found ?? text.length - this.#uncertain(text);
    this.#held = this.#hasStopped ? "" : text.slice(end);
    return text.slice(0, end);
  }

  /** The held-back text, at the end of the answer. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  /** The start of the stop string that is completed first, the longest if several are: independent of the pieces. */
  #find(text: string): number | undefined {
    let [start, end] = [text.length, Number.POSITIVE_INFINITY];
    for (const string of this.#strings) {
      const at = text.indexOf(string);
      if (at < 0 || at + string.length > end) continue;
      if (at + string.length < end || at < start) [start, end] = [at, at + string.length];
    }
    return end < Number.POSITIVE_INFINITY ? start : undefined;
  }

  /** Number of characters at the end of a text that may start a stop string. */
  #uncertain(text: string): number {
    const begins = (n: number) =>
      this.#strings.some((string) => string.length > n && string.startsWith(text.slice(-n)));
    const longest = Math.max(0, ...this.#strings.map(({ length }) => length - 1));
    for (let n = Math.min(longest, text.length); n > 0; n--) if (begins(n)) return n;
    return 0;
  }
}
