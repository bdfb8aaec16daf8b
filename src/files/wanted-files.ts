// Which files of a repository are fetched: those a model is made of, or those that patterns name.

import { InputError, quote } from "../errors.ts";

/** Weights, configs, tokenizer and chat template, in any folder. Not pickles, program code, images or other formats of weights. */
const modelFile = /\.(safetensors|json|jinja)$|(^|\/)(merges\.txt|vocab\.txt|tokenizer\.model)$/;

/** No path is longer. */
const MAX_PATTERN = 1024;

/** Whether a path is wanted; patterns, if any, take the place of the built-in rule. */
export function fileFilter(include: readonly string[] = []): (path: string) => boolean {
  const patterns = include.length > 0 ? include.map(globPattern) : [modelFile];
  return (path) => patterns.some((pattern) => pattern.test(path));
}

/**
 * A pattern as Hugging Face's own tools read it: * stands for any characters, slashes included, ? for one, [abc] for one of a set;
 * one that ends in a slash for all of a folder. Paths come from servers: as in Python's fnmatch, a star takes the first place that
 * fits and never another, so that the search is quick for any path. Throws an InputError for one that is longer than any path.
 */
export function globPattern(glob: string): RegExp {
  if (glob.length > MAX_PATTERN)
    throw new InputError(`Expected a pattern of at most ${MAX_PATTERN} characters, got ${quote(glob)}`);
  const [first = "", ...rest] = segments(glob.replace(/\/$/, "/*"));
  const last = rest.pop();
  const middle = rest.map((segment, i) => `(?=(?<star${i}>.*?${segment}))\\k<star${i}>`).join("");
  return new RegExp(`^${first}${middle}${last === undefined ? "" : `.*${last}`}$`, "s");
}

/** What stands between the stars, as sources of patterns. */
function segments(glob: string): string[] {
  const found = [""];
  for (const [token, negation, set] of glob.matchAll(/\[(!?)([^\]\\[]+)\]|\*+|[\s\S]/g)) {
    if (token.startsWith("*")) found.push("");
    else
      found[found.length - 1] +=
        set !== undefined ? setPattern(set, negation !== "") : token === "?" ? "." : literal(token);
  }
  return found;
}

/** A set without the ranges that run backwards, which hold nothing. */
function setPattern(set: string, isNegated: boolean): string {
  const members = (set.match(/[\s\S]-[\s\S]|[\s\S]/g) ?? []).flatMap((member) => {
    const [from, , to] = member;
    if (to === undefined) return [literal(member)];
    return from! <= to ? [`${literal(from!)}-${literal(to)}`] : [];
  });
  if (members.length === 0) return isNegated ? "." : "(?!)";
  return `[${isNegated ? "^" : ""}${members.join("")}]`;
}

function literal(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&");
}
