// The folder that kelix demo writes. Before any work, all its files are checked to be writable and not inputs.

import { join } from "node:path";
import { makeOutputFolder } from "../hub/make-folder.ts";
import { encodePng, type Output, openOutput, type RgbImage } from "../index.ts";

export class DemoFolder {
  readonly #outputs: ReadonlyMap<string, Output>;

  private constructor(outputs: ReadonlyMap<string, Output>) {
    this.#outputs = outputs;
  }

  /** Makes the folder if needed; throws an InputError if one of these files cannot be written in it. */
  static async open(folder: string, names: readonly string[], inputs: readonly string[]): Promise<DemoFolder> {
    await makeOutputFolder(folder);
    const outputs = new Map<string, Output>();
    for (const name of names) outputs.set(name, await openOutput(join(folder, name), { inputs }));
    return new DemoFolder(outputs);
  }

  get outputs(): readonly Output[] {
    return [...this.#outputs.values()];
  }

  async writePng(name: string, image: RgbImage): Promise<void> {
    await this.#write(name, await encodePng(image));
  }

  /** Returns the file's path. */
  async writeText(name: string, text: string): Promise<string> {
    await this.#write(name, new TextEncoder().encode(text));
    return this.#outputs.get(name)!.name;
  }

  async #write(name: string, bytes: Uint8Array): Promise<void> {
    await this.#outputs.get(name)!.write(bytes);
  }
}
