// Which files of a repository are fetched: those a model is made of, or those that patterns name.

import type { RepoFile } from "./listing.ts";

/** Weights, configs, tokenizer and chat template, in any folder. Not pickles, program code, pictures or other formats of weights. */
const modelFile = /\.(safetensors|json|jinja)$|(^|\/)(merges\.txt|vocab\.txt|tokenizer\.model)$/;

export interface Selection {
  readonly wanted: readonly RepoFile[];
  readonly leftOut: readonly RepoFile[];
}

/** Splits a listing; patterns, if any, take the place of the built-in rule. */
export function selectFiles(files: readonly RepoFile[], include: readonly string[] = []): Selection {
  const patterns = include.length > 0 ? include.map(globPattern) : [modelFile];
  const isWanted = ({ path }: RepoFile) => patterns.some((pattern) => pattern.test(path));
  return { wanted: files.filter(isWanted), leftOut: files.filter((file) => !isWanted(file)) };
}

/**
 * A pattern as Hugging Face's own tools read it: * stands for any characters, slashes included, ? for one, [abc] for one of a set;
 * one that ends in a slash for all of a folder.
 */
export function globPattern(glob: string): RegExp {
  const source = glob
    .replace(/\/$/, "/*")
    // Several stars say no more than one, and would make the search slow.
    .replace(/\*+/g, "*")
    .replace(/\[(!?)([^\]\\[]+)\]|[\s\S]/g, (token, negation: string | undefined, set: string | undefined) => {
      if (set !== undefined) return `[${negation ? "^" : ""}${set.replace(/\^/g, "\\^")}]`;
      if (token === "*") return ".*";
      if (token === "?") return ".";
      return token.replace(/[\\^$.*+?()[\]{}|/]/, "\\$&");
    });
  return new RegExp(`^${source}$`, "s");
}
