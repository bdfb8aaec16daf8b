// JSON from outside, read strictly: what JSON.parse accepts and a reader would misunderstand is rejected by name, and so is
// what would take more time or memory than any honest file needs. No message repeats what stands in the file but its keys.

import { ModelError, quote } from "../errors.ts";

export interface JsonLimits {
  /** Brackets inside brackets. */
  readonly maxDepth?: number;
  /** Keys of one object. */
  readonly maxKeys?: number;
}

/** Deeper than any config or tokenizer.json. */
const MAX_DEPTH = 64;

/** A tokenizer's vocabulary is one object. */
const MAX_KEYS = 2_000_000;

/**
 * The value of JSON in UTF-8. Throws a ModelError that begins with `subject` ("/m/config.json", "/m/x.safetensors: the header")
 * when it is not, when a key stands twice in an object or is `__proto__`, or when it goes beyond the limits.
 */
export function parseJson(bytes: Uint8Array, subject: string, limits: JsonLimits = {}): unknown {
  if (bytes.length === 0) throw new ModelError(`${subject} is empty`);
  const text = tryOr(() => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  // Before JSON.parse, which would build whatever a hostile file asks for.
  const fault = text === undefined ? undefined : findFault(text, limits);
  if (fault !== undefined) throw new ModelError(`${subject} has ${fault}`);
  const value = text === undefined ? undefined : tryOr<unknown>(() => JSON.parse(text));
  if (value === undefined) throw new ModelError(`${subject} is not JSON in UTF-8`);
  return value;
}

/** Of text that is not JSON it may say nothing. */
function findFault(text: string, { maxDepth = MAX_DEPTH, maxKeys = MAX_KEYS }: JsonLimits): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (character === OPEN_OBJECT || character === OPEN_ARRAY) {
      if (open.push(undefined) > maxDepth) return `brackets nested more than ${maxDepth} deep`;
    } else if (character === CLOSE_OBJECT || character === CLOSE_ARRAY) open.pop();
    else if (character === QUOTE) {
      const begin = i++;
      while (i < text.length && text.charCodeAt(i) !== QUOTE) i += text.charCodeAt(i) === BACKSLASH ? 2 : 1;
      let next = i + 1;
      while (isSpace(text.charCodeAt(next))) next++;
      if (text.charCodeAt(next) !== COLON || open.length === 0) continue;
      // A string before a colon is a key; compared after its escapes are resolved.
      const key = literalValue(text.slice(begin, i + 1));
      if (key === undefined) continue;
      if (key === "__proto__") return 'the key "__proto__", which is refused';
      let keys = open.at(-1);
      if (!keys) {
        keys = new Set();
        open[open.length - 1] = keys;
      }
      if (keys.has(key)) return `the key ${quote(key)} twice`;
      if (keys.size === maxKeys) return `an object of more than ${maxKeys} keys`;
      keys.add(key);
    }
  }
  return undefined;
}

const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY, QUOTE, BACKSLASH, COLON] = [
  0x7b, 0x7d, 0x5b, 0x5d, 0x22, 0x5c, 0x3a,
] as const;

function isSpace(code: number): boolean {
  return code === 32 || code === 9 || code === 10 || code === 13;
}

/** A string literal's value; undefined if it is none. */
function literalValue(literal: string): string | undefined {
  if (!literal.includes("\\")) return literal.slice(1, -1);
  return tryOr<string>(() => JSON.parse(literal));
}

function tryOr<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
