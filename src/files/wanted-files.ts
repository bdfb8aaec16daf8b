// Which files of a repository are fetched: those a model is made of, or those that patterns name.

/** Weights, configs, tokenizer and chat template, in any folder. Not pickles, program code, images or other formats of weights. */
const modelFile = /\.(safetensors|json|jinja)$|(^|\/)(merges\.txt|vocab\.txt|tokenizer\.model)$/;

/** Whether a path is wanted; patterns, if any, take the place of the built-in rule. */
export function fileFilter(include: readonly string[] = []): (path: string) => boolean {
  const patterns = include.length > 0 ? include.map(globPattern) : [modelFile];
  return (path) => patterns.some((pattern) => pattern.test(path));
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
