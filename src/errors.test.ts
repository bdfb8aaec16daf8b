import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { errorCodes, excerpt, FetchError, InputError, KelixError, MemoryError, ModelError, quote } from "./errors.ts";
import { EngineError } from "./server/protocol.ts";

test("every class has a code, and is a KelixError", () => {
  const errors = [
    [new KelixError("x"), "internal"],
    [new InputError("x"), "invalid_input"],
    [new InputError("x", { code: "invalid_option" }), "invalid_option"],
    [new ModelError("x"), "invalid_model"],
    [new FetchError("x"), "fetch_failed"],
    [new MemoryError("x", 2, 1), "out_of_memory"],
    [new EngineError("queue_full", "x", 3), "queue_full"],
  ] as const;
  for (const [error, code] of errors) {
    expect(error).toBeInstanceOf(KelixError);
    expect(error.code).toBe(code);
    expect(error.name).toBe(error.constructor.name);
  }
});

test("no message has characters that steer a terminal, begin a line or turn the direction of text", () => {
  const { message } = new ModelError("the key a\x1b[2J\n\x85\u202eb\u2028 stands twice");
  expect(message).toBe("the key a\\u001b[2J\\u000a\\u0085\\u202eb\\u2028 stands twice");
});

test("the docs tell when each class and each code occurs, and of no others", async () => {
  const docs = await readFile(new URL("../docs/errors.md", import.meta.url), "utf8");
  const rows = [...docs.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1]);
  const classes = [KelixError, InputError, ModelError, FetchError, MemoryError, EngineError].map(({ name }) => name);
  expect(rows.sort()).toEqual([...classes, ...errorCodes].sort());
});

describe("quote", () => {
  class Cat {}
  test.each([
    ["cat", '"cat"'],
    [undefined, "undefined"],
    [null, "null"],
    [1.5, "1.5"],
    [5n, "5n"],
    [Number.NaN, "NaN"],
    [{ role: "robot", n: [1, null] }, '{"role":"robot","n":[1,null]}'],
    [new Cat(), "a Cat"],
    [Promise.resolve(), "a Promise"],
    [new AbortController(), "an AbortController"],
    [new Uint8Array(3), "a Uint8Array of 3 bytes"],
    [new Int16Array(3), "an Int16Array of 6 bytes"],
    [{ image: Buffer.alloc(9) }, '{"image":a Buffer of 9 bytes}'],
    [() => 1, "a function"],
    [[[[[[1]]]]], "[[[[…]]]]"],
  ])("shows %s as what it is", (value, text) => {
    expect(quote(value)).toBe(text);
  });

  test("repeats no more than 200 characters of what it is given", () => {
    const long = "x".repeat(100_000);
    const deep = JSON.parse("[".repeat(50_000) + "]".repeat(50_000));
    const own: Record<string, unknown> = {};
    own.self = own;
    const throwing = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error("no");
        },
      },
    );
    for (const value of [
      long,
      [long],
      { [long]: 1 },
      Array(1e6).fill(7),
      deep,
      own,
      throwing,
      BigInt(`1${"0".repeat(9999)}`),
    ])
      expect(quote(value).length).toBeLessThanOrEqual(202);
    expect(excerpt(long)).toHaveLength(200);
  });
});
