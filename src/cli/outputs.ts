// What commands write: `-` for standard output, and images in the format of their suffix.

import {
  descriptorOf,
  encodeImage,
  formatOfName,
  type ImageFormat,
  InputError,
  type Output,
  openOutput,
  type RawImage,
} from "../index.ts";
import { quote } from "./quote.ts";
import { interrupted } from "./terminal.ts";

/** The path that an argument of -o stands for. */
export function outputPath(argument: string): string {
  return argument === "-" ? "/dev/stdout" : argument;
}

/** Throws if standard output cannot take a file: it is a terminal, or --json uses it. */
export function checkStandardOutput(argument: string, { json }: { readonly json?: boolean }): void {
  if (descriptorOf(outputPath(argument)) !== 1) return;
  const refuse = (message: string) => new InputError(message, { code: "output_refused" });
  if (json) throw refuse(`--json and ${quote(argument)} both write to standard output: name a file with -o`);
  if (process.stdout.isTTY) throw refuse("A terminal cannot show binary data: name a file with -o, or use a pipe");
}

/** "a.png", 2 -> "a-2.png" */
export function numbered(file: string, i: number): string {
  return file.replace(/(\.\w+)?$/, `-${i}$1`);
}

/** Where images go, one file each. */
export class ImageOutputs {
  readonly outputs: readonly Output[];
  readonly #formats: readonly ImageFormat[];

  private constructor(outputs: readonly Output[]) {
    this.outputs = outputs;
    this.#formats = outputs.map(formatOf);
  }

  /** Throws an InputError before any work unless an image can be written under each name derived from the argument. */
  static async open(argument: string, names: readonly string[], inputs: readonly string[] = []): Promise<ImageOutputs> {
    const outputs: Output[] = [];
    const open = async (name: string) => {
      const output = await openOutput(outputPath(name), { inputs, signal: interrupted.signal });
      outputs.push(output);
      return output;
    };
    try {
      // A number appended to a pipe's name would create an unwanted plain file.
      if (names.length > 1 && !(await open(argument)).isFile)
        throw new InputError(`${quote(argument)} takes one image, there are ${names.length}: name a file with -o`, {
          code: "output_refused",
        });
      outputs.length = 0;
      for (const name of names) await open(name);
      return new ImageOutputs(outputs);
    } catch (error) {
      await Promise.all(outputs.map((output) => output.close()));
      throw error;
    }
  }

  async write(index: number, image: RawImage): Promise<void> {
    await this.outputs[index]!.write(await encodeImage(image, this.#formats[index]!));
  }

  async close(): Promise<void> {
    await Promise.all(this.outputs.map((output) => output.close()));
  }
}

/** A pipe needs no suffix. */
function formatOf({ name, isFile }: Output): ImageFormat {
  return isFile || /\.\w+$/.test(name) ? formatOfName(name) : "png";
}
