// What commands read: images by name, `-` for standard input. If one cannot be used, the others are still processed.

import { descriptorOf, InputError, type KelixError, publicUrl, readInput, withoutSecrets } from "../index.ts";
import { complainOf, messageOf } from "./failures.ts";
import { interrupted, showProgress } from "./terminal.ts";

const STDIN = "/dev/stdin";

/** The path that an argument stands for. */
export function inputPath(argument: string): string {
  return argument === "-" ? STDIN : argument;
}

/** Throws if standard input is requested more than once. */
export function checkInputs(inputs: readonly string[]): void {
  if (inputs.filter((input) => descriptorOf(inputPath(input)) === 0).length < 2) return;
  throw new InputError("Standard input can be used only once; give the other input by name", {
    code: "invalid_option",
  });
}

/** A prompt is a few words; a book on standard input is a mistake. */
const MAX_PROMPT_BYTES = 1_000_000;

/** The argument's text, or standard input for `-`. */
export async function readPrompt(argument: string): Promise<string> {
  if (argument !== "-") return argument;
  const limits = { maxBytes: MAX_PROMPT_BYTES, signal: interrupted.signal };
  return new TextDecoder().decode(await readInput(STDIN, limits)).trim();
}

/** The --json value for an input that could not be used. */
export interface Failure {
  readonly image: string;
  readonly error: { readonly code: KelixError["code"] | "internal"; readonly message: string };
}

/**
 * Does `work` for each image. A failure is reported and sets exit status 1, but the other images are still processed. Results
 * keep the images' order, failures included. Only an interrupt stops early.
 */
export async function forEachImage<T extends object>(
  images: readonly string[],
  work: (image: string, index: number) => Promise<T>,
): Promise<(T | Failure)[]> {
  const results: (T | Failure)[] = [];
  for (const [i, image] of images.entries()) {
    interrupted.signal.throwIfAborted();
    if (images.length > 1) showProgress(`image ${i + 1}/${images.length}`);
    try {
      results.push(await work(image, i));
    } catch (error) {
      interrupted.signal.throwIfAborted();
      if (error instanceof InputError && error.code === "invalid_option") throw error; // the same for all
      complainOf(
        error,
        images.length > 1 && !messageOf(error).includes(publicUrl(image)) ? publicUrl(image) : undefined,
      );
      results.push(failure(image, error));
    }
  }
  showProgress("");
  return results;
}

export function failure(image: string, error: unknown): Failure {
  const code = (error as Partial<KelixError>)?.code ?? "internal";
  return { image: publicUrl(image), error: { code, message: withoutSecrets(messageOf(error)) } };
}

export function isFailure(result: object): result is Failure {
  return "error" in result;
}

export function withoutFailures<T extends object>(results: readonly (T | Failure)[]): T[] {
  return results.filter((result): result is T => !isFailure(result));
}
