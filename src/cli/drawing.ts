// What the commands that draw share: their options, and the finished pictures as files and facts.

import type { Command } from "commander";
import { type DrawOptions, type Picture, writePng } from "../index.ts";
import {
  decimal,
  type GlobalOptions,
  integer,
  interrupted,
  note,
  onProgress,
  parseSeed,
  printJson,
} from "./context.ts";

/** Options of drawing as the command line gives them. */
export interface DrawingOptions {
  readonly output: string;
  readonly seed: number;
  readonly steps?: number;
  readonly guidance?: number;
}

/** Declares the options; `several` says how a second picture's file is named. */
export function addDrawingOptions(command: Command, several: string): Command {
  return command
    .requiredOption("-o, --output <file>", `PNG file; ${several}`)
    .option("--seed <n>", "the same seed gives the same picture", parseSeed, 0)
    .option("--steps <n>", "steps of the sampler", integer(1, 1000))
    .option("--guidance <x>", "classifier-free guidance; 1 is none", decimal(0, 100));
}

/** What every drawing is given: progress on the terminal, and Ctrl-C. */
export const watched: Pick<DrawOptions, "signal" | "onProgress"> = { signal: interrupted.signal, onProgress };

/** Writes pictures as they come and tells of each; with --json of all at the end. */
export class DrawnFiles {
  readonly #json: boolean;
  readonly #files: object[] = [];

  constructor({ json }: GlobalOptions) {
    this.#json = json ?? false;
  }

  /** `facts` are told beside the file's name and size. */
  async write(file: string, picture: Picture, facts: Readonly<Record<string, number>> = {}): Promise<void> {
    await writePng(file, picture);
    const { width, height } = picture;
    this.#files.push({ file, ...facts, width, height });
    const more = Object.entries(facts).map(([name, value]) => `, ${name} ${value}`);
    if (!this.#json) note(`${file}: ${width} x ${height}${more.join("")}`);
  }

  end(): void {
    if (this.#json) printJson(this.#files);
  }
}
