// Distinguishes the template's text from the users' in a rendered conversation. A template gets the messages unchanged and
// may inspect, cut and join them, so the text itself does not say where a special token's name comes from.
// The conversation is therefore rendered again, with the characters of special names replaced in the messages only: where
// the replacements appear in otherwise equal text, a user wrote the character.

import { InputError, quote } from "../errors.ts";
import type { IsPlain } from "./added-tokens.ts";

/** Private-use characters of the Basic Multilingual Plane. No template contains any (chat-template.ts), and those in user text are not used. */
export const PRIVATE_USE: RegExp = /[\ue000-\uf8ff]/;

/**
 * Which parts of `text` users wrote. `texts` are the users', `names` those of special tokens, and `render` renders the
 * messages with each of their texts mapped, or returns undefined if the template then fails. Throws an InputError if the text
 * has a special token that a user may have written and the template makes it impossible to tell.
 */
export function traceUserText(
  text: string,
  texts: readonly string[],
  names: readonly string[],
  render: (change: (text: string) => string) => string | undefined,
): IsPlain {
  const found = names.filter((name) => text.includes(name));
  const written = new Set(texts.join("").split(""));
  const signs = [...new Set(found.flatMap(signsOf))].filter((sign) => written.has(sign));
  if (signs.length === 0) return () => false;
  const marked: string[] = [];
  const traced = new Set<string>();
  const standIns = unusedCharacters(signs.length, written);
  // All at once, if the template allows it; else each sign that it does not look for itself.
  for (const group of [signs, ...(signs.length > 1 ? signs.map((sign) => [sign]) : [])]) {
    const change = exchange(group, standIns);
    const again = render(change);
    if (again === undefined || exchange(standIns, group)(again) !== text) continue;
    marked.push(again);
    for (const sign of group) traced.add(sign);
    if (group === signs) break;
  }
  const unclear = found.find((name) => signsOf(name).every((sign) => written.has(sign) && !traced.has(sign)));
  if (unclear !== undefined) {
    throw new InputError(
      `A message may spell the special token ${quote(unclear)}, which the model's chat template looks for itself; leave it out of the text`,
      { code: "invalid_messages" },
    );
  }
  return (start, end) => marked.some((again) => again.slice(start, end) !== text.slice(start, end));
}

/** The characters that identify a name: its non-word characters, or all if there are none. */
function signsOf(name: string): string[] {
  const units = name.split("");
  const signs = units.filter((unit) => !/[\p{L}\p{N}\s]/u.test(unit));
  return signs.length > 0 ? signs : units;
}

/** Replaces the k-th of `from` by the k-th of `to`. */
function exchange(from: readonly string[], to: readonly string[]): (text: string) => string {
  const table = new Map(from.map((unit, k) => [unit, to[k]]));
  return (text) => text.replace(/./gs, (unit) => table.get(unit) ?? unit);
}

function unusedCharacters(count: number, used: ReadonlySet<string>): string[] {
  const unused: string[] = [];
  for (let code = 0xe000; code <= 0xf8ff && unused.length < count; code++) {
    const character = String.fromCharCode(code);
    if (!used.has(character)) unused.push(character);
  }
  if (unused.length < count) {
    throw new InputError("Expected a conversation without every private-use character of Unicode", {
      code: "invalid_messages",
    });
  }
  return unused;
}
