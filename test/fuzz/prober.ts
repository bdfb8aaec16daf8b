// Runs inputs of a target one by one, and keeps what went wrong.

import { ftruncateSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type Edit, editKinds, mutate } from "./mutate.ts";
import { probe, type Target, TooSlow } from "./target.ts";

export interface ProbedInputs {
  readonly accepted: number;
  readonly slowestMs: number;
  /** What was wrong, each with the file of its input. */
  readonly faults: readonly string[];
}

/** The rest would say the same. */
export const MAX_FAULTS = 5;
const MAX_EDITS = 6;

Error.stackTraceLimit = 0; // nearly every input ends in an error, and a stack takes as long as the parser

export class Prober implements ProbedInputs {
  readonly faults: string[] = [];
  accepted = 0;
  slowestMs = 0;
  readonly #target: Target;
  readonly #folder: string;
  readonly #current: number;
  readonly #started: BigInt64Array;
  readonly #fault: string;

  /** `folder` gets `current`, the input that runs, and files `FAULT-N`; `started`, which the watchdog reads, the time when it began. */
  constructor(target: Target, folder: string, started: BigInt64Array, fault = "fault") {
    this.#target = target;
    this.#folder = folder;
    this.#current = openSync(join(folder, "current"), "w");
    this.#started = started;
    this.#fault = fault;
  }

  /** An input that was found, the later the likelier, with some edits. */
  make(found: readonly Uint8Array[], draw: (below: number) => number): Uint8Array {
    const from = draw(2) === 0 ? draw(found.length) : found.length - 1 - draw(Math.min(found.length, 10));
    const edits = Array.from({ length: 1 + draw(1 + draw(MAX_EDITS)) }, (): Edit => {
      const length = draw(3) === 0 ? draw(600) : draw(16);
      return { kind: editKinds[draw(editKinds.length)]!, at: draw(65_536) / 65_536, length, value: draw(65_536) };
    });
    const bytes = mutate(found[from]!, edits, found);
    return this.#target.repair && draw(2) === 0 ? this.#target.repair(bytes) : bytes;
  }

  async probe(bytes: Uint8Array): Promise<void> {
    writeSync(this.#current, bytes, 0, bytes.length, 0);
    ftruncateSync(this.#current, bytes.length);
    const begin = performance.now();
    Atomics.store(this.#started, 0, BigInt(Date.now()));
    try {
      if ((await probe(this.#target, bytes)) === "accepted") this.accepted++;
    } catch (error) {
      await this.#report(bytes, error);
    }
    this.slowestMs = Math.max(this.slowestMs, performance.now() - begin);
  }

  /** Runs an input again, for the stack of what it throws. What was slow only once waited for other programs. */
  async #report(bytes: Uint8Array, error: unknown): Promise<void> {
    if (this.faults.length >= MAX_FAULTS) return;
    Error.stackTraceLimit = 10;
    const again: unknown = await probe(this.#target, bytes).then(
      () => undefined,
      (error: unknown) => error,
    );
    Error.stackTraceLimit = 0;
    if (error instanceof TooSlow && again === undefined) return;
    const file = join(this.#folder, `${this.#fault}-${this.faults.length}`);
    writeFileSync(file, bytes);
    const shown = again ?? error;
    const stack = shown instanceof Error ? (shown.stack ?? shown.message) : String(shown);
    this.faults.push(`${file}: ${stack.split("\n").slice(0, 4).join(" ").slice(0, 1000)}`);
  }
}
