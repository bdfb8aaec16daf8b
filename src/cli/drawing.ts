// Shared by commands that draw: their options, and writing finished images.

import type { Command } from "commander";
import { type DrawOptions, InputError, type KelixError, optionsOf, type RawImage, withoutSecrets } from "../index.ts";
import { type GlobalOptions, onProgress } from "./context.ts";
import { complainOf, messageOf } from "./failures.ts";
import { addFlags, expectation } from "./option-flags.ts";
import type { ImageOutputs } from "./outputs.ts";
import { interrupted, note, printJson } from "./terminal.ts";

/** Drawing options as parsed from the command line. */
export interface DrawingOptions {
  readonly output: string;
  readonly seed: number;
  readonly steps?: number;
  readonly guidance?: number;
  readonly receipt: boolean;
}

/** Declares the options; `several` says how further images' files are named, if there may be any. */
export function addDrawingOptions(command: Command, several?: string): Command {
  const more = several === undefined ? "" : `; ${several}`;
  command.requiredOption("-o, --output <file>", `.png, .jpg or .webp; - writes a PNG to standard output${more}`);
  return addFlags(command, optionsOf.reconstruct, { seed: "<n>", steps: "<n>", guidance: "<x>" }).option(
    "--no-receipt",
    "do not keep in a PNG what the image was drawn with, the prompt included",
  );
}

/** Throws when the seeds of `n` images, one after the other from `first` on, go beyond the largest. */
export function checkSeeds(first: number, n: number): void {
  const { seed } = optionsOf.imagine.shape;
  if (seed.safeParse(first + n - 1).success) return;
  throw new InputError(`The last of ${n} seeds from ${first} on would not be ${expectation(seed)}`, {
    code: "invalid_option",
  });
}

/** Passed to every drawing call: progress on the terminal, and Ctrl-C. */
export const watched: Pick<DrawOptions, "signal" | "onProgress"> = { signal: interrupted.signal, onProgress };

/** Writes images as they are finished and reports each; with --json, all at the end. */
export class DrawnFiles {
  readonly #outputs: ImageOutputs;
  readonly #names: readonly string[];
  readonly #json: boolean;
  readonly #files: object[] = [];

  /** Image i goes to `outputs[i]`, which the user knows as `names[i]`. */
  constructor(outputs: ImageOutputs, names: readonly string[], { json }: GlobalOptions) {
    this.#outputs = outputs;
    this.#names = names;
    this.#json = json ?? false;
  }

  /** `facts` are reported with the file's name and size. */
  async write(index: number, image: RawImage, facts: Readonly<Record<string, number>> = {}): Promise<void> {
    const file = this.#names[index]!;
    await this.#outputs.write(index, image);
    const { width, height } = image;
    this.#files.push({ file, ...facts, width, height });
    const more = Object.entries(facts).map(([name, value]) => `, ${name} ${value}`);
    if (!this.#json) note(`${file}: ${width} x ${height}${more.join("")}`);
  }

  /** Reports an image that could not be drawn or written. */
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
