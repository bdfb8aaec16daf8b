// A session that is opened on two devices: both do its first runs, for about a second, and the faster does the rest alone.

import type { HostTensor } from "./host-tensor.ts";
import type { Session, Targets, Values } from "./session.ts";
import { Turns } from "./turns.ts";

/** What both take together, at the least, before one is chosen. Seldom more than one run beyond it. */
const MEASURED_MS = 1000;
/** Enough for a choice where runs are short. */
const MEASURED_RUNS = 50;

/** Milliseconds of one run on each, or what went wrong on the rival. */
export type Outcome =
  | { readonly isRivalFaster: boolean; readonly usualMs: number; readonly rivalMs: number }
  | { readonly isRivalFaster: false; readonly error: unknown };

export class ContestedSession implements Session {
  readonly #usual: Session;
  readonly #openRival: () => Promise<Session>;
  readonly #onSettled: (outcome: Outcome) => void;
  readonly #now: () => number;
  /** Runs do not overlap, so that none disturbs another's time and a session is released when nobody uses it. */
  readonly #turns = new Turns();
  #rival: Session | undefined;
  #winner: Session | undefined;
  #runs = 0;
  #usualMs = 0;
  #rivalMs = 0;

  /** The rival is opened with the first run. Results are those of `usual` until `onSettled` is told who won. */
  constructor(
    usual: Session,
    openRival: () => Promise<Session>,
    onSettled: (outcome: Outcome) => void,
    now = () => performance.now(),
  ) {
    this.#usual = usual;
    this.#openRival = openRival;
    this.#onSettled = onSettled;
    this.#now = now;
  }

  get device() {
    return (this.#winner ?? this.#usual).device;
  }

  run(feeds: Values, fetch?: readonly string[] | Targets): Promise<Record<string, HostTensor>> {
    return this.#turns.take(() => (this.#winner ? this.#winner.run(feeds, fetch) : this.#runBoth(feeds, fetch)));
  }

  release(): Promise<void> {
    return this.#turns.take(async () => {
      if (this.#winner) return this.#winner.release();
      await Promise.all([this.#usual.release(), this.#rival?.release()]);
    });
  }

  async #runBoth(feeds: Values, fetch: readonly string[] | Targets | undefined) {
    const usual = await this.#time(() => this.#usual.run(feeds, fetch));
    try {
      const isFirst = this.#rival === undefined;
      this.#rival ??= await this.#openRival();
      const rival = await this.#time(() => this.#rival!.run(feeds));
      // The first run compiles.
      if (!isFirst) {
        this.#runs++;
        this.#usualMs += usual.ms;
        this.#rivalMs += rival.ms;
      }
      if (this.#usualMs + this.#rivalMs >= MEASURED_MS || this.#runs >= MEASURED_RUNS) await this.#settle();
    } catch (error) {
      await this.#settle({ isRivalFaster: false, error });
    }
    return usual.results;
  }

  async #settle(failed?: Outcome): Promise<void> {
    const isRivalFaster = !failed && this.#rivalMs < this.#usualMs;
    this.#winner = isRivalFaster ? this.#rival : this.#usual;
    await (isRivalFaster ? this.#usual : this.#rival)?.release();
    const [usualMs, rivalMs] = [this.#usualMs / this.#runs, this.#rivalMs / this.#runs];
    this.#onSettled(failed ?? { isRivalFaster, usualMs, rivalMs });
  }

  async #time(run: () => Promise<Record<string, HostTensor>>) {
    const start = this.#now();
    const results = await run();
    return { results, ms: this.#now() - start };
  }
}
