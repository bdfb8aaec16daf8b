import fc from "fast-check";
import { expect, test } from "vitest";
import { StopStrings } from "./stop-strings.ts";

/** All that is given out of a text that comes in these pieces. */
function read(pieces: readonly string[], strings: readonly string[]): { text: string; hasStopped: boolean } {
  const stop = new StopStrings(strings);
  let text = "";
  for (const piece of pieces) text += stop.push(piece);
  return { text: text + stop.end(), hasStopped: stop.hasStopped };
}

test.each([
  ["one inside a piece", ["a cat. A dog."], [". "], "a cat", true],
  ["one over three pieces", ["a red", " ", "", "apple"], ["d app"], "a re", true],
  ["a beginning that goes on otherwise", ["one ST", "ORY"], ["STOP"], "one STORY", false],
  ["a beginning at the end", ["one ST"], ["STOP"], "one ST", false],
  ["one whose beginning repeats", ["aaa", "aab"], ["aab"], "aaa", true],
  ["the one that is complete first", ["xabcd"], ["abcd", "bc"], "xa", true],
  ["the longest that ends at one place", ["xabc"], ["c", "abc"], "x", true],
  ["nothing but a stop string", ["STOP"], ["STOP"], "", true],
  ["no stop strings", ["a", "b"], [], "ab", false],
] as const)("with %s", (_, pieces, strings, text, hasStopped) => {
  expect(read(pieces, strings)).toEqual({ text, hasStopped });
});

test("holds back no more than the beginning of a stop string", () => {
  const stop = new StopStrings(["\n\n"]);
  expect(["a", "\n", "b\n", "\n"].map((piece) => stop.push(piece))).toEqual(["a", "", "\nb", ""]);
  expect(stop.hasStopped).toBe(true);
});

test("gives out the same text however it is cut, and never a stop string", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 12 });
  const strings = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), {
    maxLength: 3,
  });
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 5 }), strings, (pieces, stops) => {
      const whole = read([pieces.join("")], stops);
      expect(read(pieces, stops)).toEqual(whole);
      expect(read([...pieces.join("")], stops)).toEqual(whole);
      for (const string of stops) expect(whole.text).not.toContain(string);
      expect(pieces.join("").startsWith(whole.text)).toBe(true);
      if (!whole.hasStopped) expect(whole.text).toBe(pieces.join(""));
    }),
  );
});
