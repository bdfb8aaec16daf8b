// Which code ran since the last look, by V8's own block coverage. A look takes some 20 ms, so it is worth one only for many inputs together.

import { Session } from "node:inspector";

/** Ours, and the parsers of others that read what strangers send. */
const watched =
  /^file:.*(\/src\/|\/node_modules\/(hyparquet|hyparquet-compressors|@huggingface\/(jinja|tokenizers))\/)/;

/** Of each function that ran: its characters, 1 for each that ran. */
type Run = ReadonlyMap<string, Uint8Array>;

export class Coverage {
  readonly #session = new Session();
  readonly #reached = new Map<string, Uint8Array>();

  constructor() {
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** Characters of code that ran. */
  get size(): number {
    return [...this.#reached.values()].reduce((sum, map) => sum + map.reduce((own, one) => own + one, 0), 0);
  }

  forget(): void {
    this.#reached.clear();
    this.take();
  }

  /** What ran since the last call. */
  take(): Run {
    const run = new Map<string, Uint8Array>();
    // The session answers at once, as it is of this thread.
    this.#session.post("Profiler.takePreciseCoverage", (error, found) => {
      if (error) throw error;
      for (const { url, scriptId, functions } of found.result) {
        if (!watched.test(url)) continue;
        for (const { ranges } of functions) {
          const [{ startOffset, endOffset, count }] = ranges as [(typeof ranges)[0]];
          if (count === 0) continue;
          const map = new Uint8Array(endOffset - startOffset);
          // Inner ranges follow the ones around them. Those of equal counts are joined, so that ranges themselves tell nothing.
          for (const inner of ranges)
            map.fill(inner.count > 0 ? 1 : 0, inner.startOffset - startOffset, inner.endOffset - startOffset);
          run.set(`${scriptId}:${startOffset}`, map);
        }
      }
    });
    return run;
  }

  hasNew(run: Run): boolean {
    return [...run].some(([name, map]) => {
      const known = this.#reached.get(name);
      return !known || map.some((one, i) => one > known[i]!);
    });
  }

  /** Adds what ran; whether some of it is new. */
  add(run: Run): boolean {
    if (!this.hasNew(run)) return false;
    for (const [name, map] of run) {
      const known = this.#reached.get(name);
      this.#reached.set(name, known ? known.map((one, i) => one | map[i]!) : map);
    }
    return true;
  }
}
