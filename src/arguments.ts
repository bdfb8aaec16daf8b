// The arguments of public calls that are plain texts and numbers, checked before any work.

import { InputError, quote } from "./errors.ts";

/** `call` shows how the name is given. */
export function checkModelName(name: unknown, call: string): asserts name is string {
  if (typeof name === "string" && name.trim() !== "") return;
  const wanted = `Expected the name of a model: ${call} with a folder, a repository of the Hub (owner/name) or a built-in name`;
  throw new InputError(`${wanted}, got ${quote(name)}`);
}

/** `call` shows how it is given. */
export function checkPrompt(prompt: unknown, call: string): asserts prompt is string {
  if (typeof prompt === "string" && prompt.trim() !== "") return;
  const got = prompt === "" ? "an empty text" : quote(prompt);
  throw new InputError(`Expected a prompt as a text, such as ${call}, got ${got}`);
}

/** Several images have seeds one after the other. */
export function checkLastSeed(seed: number, n: number): void {
  if (seed <= Number.MAX_SAFE_INTEGER - (n - 1)) return;
  throw new InputError(`The last of ${n} seeds from ${seed} on would be above ${Number.MAX_SAFE_INTEGER}`, {
    code: "invalid_option",
  });
}
