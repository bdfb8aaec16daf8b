// What the commands that draw share: their options, and the finished images as files and facts.

import type { Command } from "commander";
import { type DrawOptions, InputError, type KelixError, optionsOf, type RawImage, withoutSecrets } from "../index.ts";
import { type GlobalOptions, onProgress } from "./context.ts";
import { complainOf, messageOf } from "./failures.ts";
import { addFlags, expectation } from "./option-flags.ts";
import type { ImageOutputs } from "./outputs.ts";
import { interrupted, note, printJson } from "./terminal.ts";

/** Options of drawing as the command line gives them. */
export interface DrawingOptions {
  readonly output: string;
  readonly seed: number;
  readonly steps?: number;
  readonly guidance?: number;
}

/** Declares the options; `several` says how a second image's file is named, where there may be one. */
export function addDrawingOptions(command: Command, several?: string): Command {
  const more = several === undefined ? "" : `; ${several}`;
  command.requiredOption("-o, --output <file>", `.png, .jpg or .webp; - writes a PNG to standard output${more}`);
  return addFlags(command, optionsOf.reconstruct, { seed: "<n>", steps: "<n>", guidance: "<x>" });
}

/** Throws when the seeds of `n` images, one after the other from `first` on, go beyond the largest. */
export function checkSeeds(first: number, n: number): void {
  const { seed } = optionsOf.imagine.shape;
  if (seed.safeParse(first + n - 1).success) return;
  throw new InputError(`The last of ${n} seeds from ${first} on would not be ${expectation(seed)}`, {
    code: "invalid_option",
  });
}

/** What every drawing is given: progress on the terminal, and Ctrl-C. */
export const watched: Pick<DrawOptions, "signal" | "onProgress"> = { signal: interrupted.signal, onProgress };

/** Writes images as they come and tells of each; with --json of all at the end. */
export class DrawnFiles {
  readonly #outputs: ImageOutputs;
  readonly #names: readonly string[];
  readonly #json: boolean;
  readonly #files: object[] = [];

  /** Image i goes to the i-th of `outputs`, which the user calls by the i-th of `names`. */
  constructor(outputs: ImageOutputs, names: readonly string[], { json }: GlobalOptions) {
    this.#outputs = outputs;
    this.#names = names;
    this.#json = json ?? false;
  }

  /** `facts` are told beside the file's name and size. */
  async write(index: number, image: RawImage, facts: Readonly<Record<string, number>> = {}): Promise<void> {
    const file = this.#names[index]!;
    await this.#outputs.write(index, image);
    const { width, height } = image;
    this.#files.push({ file, ...facts, width, height });
    const more = Object.entries(facts).map(([name, value]) => `, ${name} ${value}`);
    if (!this.#json) note(`${file}: ${width} x ${height}${more.join("")}`);
  }

  /** Tells of an image that could not be drawn or written. */
  fail(index: number, error: unknown): void {
    interrupted.signal.throwIfAborted();
    if (error instanceof InputError && error.code === "invalid_option") throw error; // the same for all
    const file = this.#names[index]!;
    complainOf(error, this.#names.length > 1 && !messageOf(error).includes(file) ? file : undefined);
    const { code = "internal" } = error as Partial<KelixError>;
    this.#files.push({ file, error: { code, message: withoutSecrets(messageOf(error)) } });
  }

  end(): void {
    if (this.#json) printJson(this.#files);
  }
}
