// Inputs for fuzzing: valid bytes with a few edits. An edit is plain data, so that fast-check can shrink a list of them.

/** What an edit does at a place of the input. */
export const editKinds = ["flip", "set", "token", "insert", "cut", "truncate", "repeat", "splice"] as const;

export interface Edit {
  readonly kind: (typeof editKinds)[number];
  /** The place, as a share of the input's length from 0 to 1. */
  readonly at: number;
  /** Bytes that are cut, repeated or taken from elsewhere. */
  readonly length: number;
  /** A bit, a byte, an entry of the dictionary, how often, or another seed: what the kind makes of it. From 0 to 65535. */
  readonly value: number;
}

/** No input is longer: beyond it only time is tested. */
export const MAX_INPUT_BYTES = 64_000;
const MOST_REPEATS = 300;

/** What parsers stumble over: ends of ranges, other types, names of the language, brackets, half characters. */
const dictionary: readonly Uint8Array[] = [
  ...["null", "true", "false", "{}", "[]", '""', "[[]]", '{"a":1}', "[null]", '"x"', "[1,2]"],
  ...["0", "-1", "1", "2", "0.5", "-0", "255", "256", "65536", "2147483648", "4294967296", "9007199254740993"],
  ...["1e308", "1e999", "-1e999", "1e-320", "NaN", "00", "0x10", "18446744073709551615"],
  ...['"__proto__":1,', '"constructor":{"prototype":1},', '"toString":null,', '"length":-1,', '"then":1,'],
  ...["{", "}", "[", "]", '"', ":", ",", "\\", "/", "../", "..\\", "%2e%2e/", "//", "\0", "\n", "\r\n", "\t", " "],
  ...[
    "\ud83d\ude42",
    "\u202e",
    "\u2028",
    "\ufeff",
    "\u001b[2J",
    "\\u0000",
    "\\ud800",
    '"\\u001b[31m"',
    "é",
    "=",
    "@",
    "#",
  ],
  ...["{{", "}}", "{%", "%}", "{% for x in messages %}", "{% endfor %}", "{% if ", "{% set x = ", "|", "~", "range(9)"],
  ...["*", "**", "[!", "[z-a]", "{0..9}", "{a,b}", "https://u:p@h/", "data:,", "file:///", "hf_abcdefghijklmnop"],
  "[".repeat(100),
  '{"a":'.repeat(100),
  "a".repeat(300),
  `"${"k".repeat(5000)}"`,
  "9".repeat(400),
].map((text) => new TextEncoder().encode(text));

const bytesOfNote = [0, 1, 0x20, 0x22, 0x2f, 0x5c, 0x7b, 0x7f, 0x80, 0xc0, 0xed, 0xf8, 0xfe, 0xff] as const;

/** The seed with the edits made one after the other; `others` are seeds that pieces may come from. */
export function mutate(seed: Uint8Array, edits: readonly Edit[], others: readonly Uint8Array[]): Uint8Array {
  return edits.reduce((bytes, edit) => apply(bytes, edit, others).subarray(0, MAX_INPUT_BYTES), seed);
}

function apply(bytes: Uint8Array, { kind, at, length, value }: Edit, others: readonly Uint8Array[]): Uint8Array {
  const start = Math.min(bytes.length, Math.floor(at * (bytes.length + 1)));
  const end = Math.min(bytes.length, start + length);
  const piece = bytes.subarray(start, end);
  const word = dictionary[value % dictionary.length]!;
  switch (kind) {
    case "flip":
      return setByte(bytes, start, (bytes[start] ?? 0) ^ (1 << (value % 8)));
    case "set":
      return setByte(bytes, start, value % 3 === 0 ? bytesOfNote[value % bytesOfNote.length]! : value & 255);
    case "token": {
      const [from, to] = tokenAt(bytes, start);
      return join(bytes.subarray(0, from), word, bytes.subarray(to));
    }
    case "insert":
      return join(bytes.subarray(0, start), word, bytes.subarray(start));
    case "cut":
      return join(bytes.subarray(0, start), bytes.subarray(end));
    case "truncate":
      return bytes.subarray(0, start);
    case "repeat": {
      const times = Math.min(value % MOST_REPEATS, Math.ceil(MAX_INPUT_BYTES / Math.max(1, piece.length)));
      return join(bytes.subarray(0, end), ...new Array<Uint8Array>(times).fill(piece), bytes.subarray(end));
    }
    case "splice": {
      const other = others[value % others.length]!;
      const from = other.length === 0 ? 0 : value % other.length;
      return join(bytes.subarray(0, start), other.subarray(from, from + length), bytes.subarray(end));
    }
  }
}

function setByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  if (at < changed.length) changed[at] = value;
  return changed;
}

/** The word, number or text in quotes that stands at a place, or that place alone. */
function tokenAt(bytes: Uint8Array, at: number): readonly [from: number, to: number] {
  let [from, to] = [at, at];
  while (from > 0 && isWord(bytes[from - 1]!)) from--;
  while (to < bytes.length && isWord(bytes[to]!)) to++;
  return [from, to];
}

/** Letters, digits, and what numbers and texts in quotes have beside them. */
const wordBytes = Array.from({ length: 256 }, (_, byte) => /[\w.+"-]/.test(String.fromCharCode(byte)));

function isWord(byte: number): boolean {
  return wordBytes[byte]!;
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
