import { expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { expandBraces } from "./patterns.ts";
import { parseLocation } from "./storage.ts";

test("expands ranges and lists in order, with the width that is written", () => {
  expect(expandBraces("s3://b/{008..011}.tar")).toEqual(["008", "009", "010", "011"].map((n) => `s3://b/${n}.tar`));
  expect(expandBraces("{a,b}-{8..10}")).toEqual(["a-8", "a-9", "a-10", "b-8", "b-9", "b-10"]);
  expect(expandBraces("plain.tar")).toEqual(["plain.tar"]);
  expect(expandBraces("{0..2}")).toEqual(["0", "1", "2"]);
});

test.each([
  ["{3..1}", "counts backwards"],
  ["{0..9999999}", "more than 1 million"],
  ["{0..99999}{0..99999}", "more than 1 million"],
  ["{0..999998}".repeat(200), "more than 1 million"],
  ["{a}", "expected a range"],
  ["{1..2", "not closed"],
  ["{1..{2..3}}", "nested"],
  [`${"a".repeat(10_000)}{0..99999}`, "too long together"],
])("says what is wrong with %s", (pattern, why) => {
  expect(() => expandBraces(pattern)).toThrow(why);
});

test("a location is a path or a bucket's, and holds no credentials", () => {
  expect(parseLocation("/data/a.tar")).toBe("/data/a.tar");
  expect(parseLocation("S3://bucket/a/b.tar")).toBe("s3://bucket/a/b.tar");
  for (const name of ["s3://key:secret@bucket/a", "s3://bucket/a?X-Amz-Signature=secret", "ftp://user:secret@host/a"]) {
    const error = (() => {
      try {
        return parseLocation(name);
      } catch (error) {
        return (error as Error).message;
      }
    })();
    expect(error).toContain("s3://");
    expect(error).not.toContain("secret");
  }
});

test("an address of a file is its path, and one without a path is refused", () => {
  expect(parseLocation("file:///data/a%20b.tar")).toBe("/data/a b.tar");
  for (const name of ["file://elsewhere/a.tar", "file:///%ff.tar", "file:///a%2fb", "file:///a%00.tar", "file://[/a"])
    expect(() => parseLocation(name), name).toThrow(InputError);
});

test("a message holds no more than the beginning of a long pattern", () => {
  const message = (() => {
    try {
      expandBraces(`{${"k".repeat(5000)}}`);
    } catch (error) {
      return (error as Error).message;
    }
  })();
  expect(message).toContain("expected a range");
  expect(message?.length).toBeLessThan(600);
});
