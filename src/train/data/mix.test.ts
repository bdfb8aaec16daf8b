import { describe, expect, test } from "vitest";
import { kindsOf, mixSchema, pickKind } from "./mix.ts";

describe("pickKind", () => {
  test("gives each kind its share, and a kind without weight nothing", () => {
    const mix = { emoji: 3, scene: 0, lettering: 1 };
    const picked = Array.from({ length: 1000 }, (_, i) => pickKind(mix, i / 1000));
    expect(picked.filter((kind) => kind === "emoji")).toHaveLength(750);
    expect(picked.filter((kind) => kind === "lettering")).toHaveLength(250);
    expect(kindsOf(mix)).toEqual(["emoji", "lettering"]);
  });

  test("a mix without any weight is rejected, and so is a kind that does not exist", () => {
    expect(mixSchema.safeParse({ emoji: 0 }).success).toBe(false);
    expect(mixSchema.safeParse({ photograph: 1 }).success).toBe(false);
  });
});
