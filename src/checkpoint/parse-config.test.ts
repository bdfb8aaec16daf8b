import { describe, expect, test } from "vitest";
import * as z from "zod";
import { ModelError } from "../errors.ts";
import { ignored, only, parseConfig, unsupported } from "./parse-config.ts";

const schema = z
  .strictObject({
    size: z.int().min(1).max(64).default(8),
    kind: z.enum(["sum", "mean"]).default("sum"),
    bias: only(false),
    rate: z.number().gt(0).lt(1).default(0.5),
    even: z.int().multipleOf(2).default(2),
    name: z.string().max(3).default(""),
    list: z.array(z.int()).length(2).default([1, 2]),
    pair: z.union([z.literal("a"), z.array(z.literal("a"))]).default("a"),
    inner: z.strictObject({ id: z.int(), note: ignored }).prefault({ id: 1 }),
  })
  .refine(({ size, even }) => size >= even, { message: "must be at least even", path: ["size"] })
  .refine(({ inner }) => inner.id !== 13, { message: "13 is not supported", path: ["inner", "id"], ...unsupported });

function refusal(value: unknown, onUnknown?: (fields: readonly string[]) => void): ModelError {
  try {
    parseConfig(schema, value, "c.json", onUnknown);
  } catch (error) {
    expect(error).toBeInstanceOf(ModelError);
    return error as ModelError;
  }
  throw new Error("accepted");
}

test.each<[value: unknown, message: string]>([
  [[], "c.json: it is [], wanted an object"],
  [null, "c.json: it is null, wanted an object"],
  [{ size: 1.5 }, "c.json: size is 1.5, wanted a whole number"],
  [{ size: "8" }, 'c.json: size is "8", wanted a number'],
  [{ size: 65 }, "c.json: size is 65, wanted at most 64"],
  [{ size: 1, even: 2 }, "c.json: size must be at least even"],
  [{ kind: 5 }, 'c.json: kind is 5, wanted one of "sum", "mean"'],
  [{ kind: "max" }, 'c.json: kind is "max", which is not supported: one of "sum", "mean"'],
  [{ bias: true }, "c.json: bias is true, which is not supported: only false"],
  [{ rate: 1 }, "c.json: rate is 1, wanted less than 1"],
  [{ rate: 0 }, "c.json: rate is 0, wanted more than 0"],
  [{ even: 3 }, "c.json: even is 3, wanted a multiple of 2"],
  [{ name: "long" }, 'c.json: name is "long", wanted at most 3 characters'],
  [{ list: [1] }, "c.json: list is [1], wanted exactly 2 entries"],
  [{ list: [1, "x"] }, 'c.json: list.1 is "x", wanted a number'],
  [{ pair: 5 }, 'c.json: pair is 5, wanted only "a" or a list'],
  [{ inner: {} }, "c.json: inner.id is missing"],
  [{ size: 65, rate: 2 }, "c.json: size is 65, wanted at most 64; rate is 2, wanted less than 1"],
])("says in one sentence what is wrong with %j", (value, message) => {
  expect(refusal(value).message).toBe(message);
});

test("tells what is not supported from what is malformed", () => {
  expect(refusal({ bias: true, kind: "max" }).code).toBe("unsupported_model");
  expect(refusal({ inner: { id: 13 } }).code).toBe("unsupported_model");
  expect(refusal({ bias: true, size: 0 }).code).toBe("invalid_model");
  expect(refusal({ kind: 5 }).code).toBe("invalid_model");
});

describe("unknown fields", () => {
  const value = { size: 4, later: 1, inner: { id: 2, "new one": [] } };

  test("are skipped and named, with the place where they stand", () => {
    const told: string[] = [];
    const config = parseConfig(schema, value, "c.json", (fields) => told.push(...fields));
    expect(config).toMatchObject({ size: 4, inner: { id: 2 } });
    expect(config).not.toHaveProperty("later");
    expect(told.sort()).toEqual(["inner.new one", "later"]);
  });

  test("do not hide what is wrong beside them", () => {
    expect(refusal({ ...value, even: 6 }, () => {}).message).toBe("c.json: size must be at least even");
  });

  test("are rejected where nobody wants to hear of them", () => {
    expect(refusal(value).message).toBe("c.json: unknown field inner.new one; unknown field later");
  });

  test("are too many for a config beyond a thousand, and then counted", () => {
    const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`f${i}`, 1]));
    const message = "c.json: 100000 of its fields are unknown, such as f0, f1, f2 and 99997 more. Is it a config?";
    expect(refusal(many, () => {}).message).toBe(message);
    expect(refusal(many).message.length).toBeLessThan(200);
  });
});

test("no message repeats more than 200 characters of a value or a name", () => {
  expect(refusal({ name: "x".repeat(1e6) }).message.length).toBeLessThan(300);
  expect(refusal({ ["x".repeat(1e6)]: 1 }).message.length).toBeLessThan(300);
  expect(refusal({ list: Array(1e5).fill("x") }).message.length).toBeLessThan(1500);
});
