// Tells what a template wrote from what users wrote in the text that it made of both. A template gets the messages as they are and
// may look into them, cut them and put them together; so nothing in the text itself says where a special token's name comes from.
// The conversation is therefore rendered again with other characters in place of those that names are made of, in the messages
// alone: where these turn up in a text that is otherwise the same, a user's character stands.

import { InputError, quote } from "../errors.ts";
import type { IsPlain } from "./added-tokens.ts";

/** The Basic Multilingual Plane's. No template holds any (chat-template.ts), and those that a user wrote are not used. */
export const PRIVATE_USE: RegExp = /[\ue000-\uf8ff]/;

/**
 * Which parts of `text` users wrote. `texts` are theirs, `names` those of special tokens, and `render` makes the same text of the
 * messages with each of their texts changed, or undefined if the template fails then. Throws an InputError when the text
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
  // All at once, if the template allows; else each sign that it does not look for itself.
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

/** The characters that give a name away: those that words are not made of, or all if there are none. */
function signsOf(name: string): string[] {
  const units = name.split("");
  const signs = units.filter((unit) => !/[\p{L}\p{N}\s]/u.test(unit));
  return signs.length > 0 ? signs : units;
}

/** Puts the k-th of `to` in place of the k-th of `from`. */
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
