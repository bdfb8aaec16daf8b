import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readSafetensors } from "../src/quantize/safetensors-file.ts";
import { f32, type HostTensor, hostTensor, i32 } from "../src/runtime/host-tensor.ts";
import { openGolden } from "../tools/parity/case.ts";
import { compareAll, compareTensor, formatComparison } from "../tools/parity/compare.ts";
import { findCase, main, type ParityResult, runParity } from "../tools/parity/main.ts";

const golden = join(import.meta.dirname, "golden");
const folders = [
  "preprocess",
  "schedulers",
  "qwen3",
  "ar",
  "vit",
  "tokenizer",
  "dit",
  "dit_plain",
  "dcae",
  "dcae_shuffle",
];

describe.each(folders)("%s of the reference", (name) => {
  let result: ParityResult;
  beforeAll(async () => {
    result = await runParity(join(golden, name));
  });

  test("is computed with every tensor within its tolerance", () => {
    const { comparisons } = result;
    expect(comparisons.filter(({ ok }) => !ok).map(formatComparison)).toEqual([]);
    expect(comparisons.length).toBeGreaterThan(0);
  });

  test("fails for every tensor of which one value is changed by 1 %", async () => {
    const { computed } = result;
    const { folder, outputs, close } = await openGolden(join(golden, name));
    await close();
    const found = findCase(folder.config, name);
    const tolerance = (key: string) => found.tolerance(key, folder.config);
    let changes = 0;
    for (const [key, reference] of outputs) {
      const changed = changeLargest(reference);
      // A gradient that is zero but for rounding lies wholly within its tolerance.
      const { limit } = compareTensor(key, reference, reference, tolerance(key));
      if (tolerance(key).ignored || !changed || changed.by <= limit) continue;
      changes++;
      expect(compareAll(computed, new Map([[key, changed.tensor]]), tolerance)).toMatchObject([
        { name: key, ok: false },
      ]);
    }
    expect(changes).toBeGreaterThan(outputs.size / 2);
  });
});

describe("a comparison", () => {
  const reference = f32([1, -4, Number.NaN, 0], [2, 2]);
  const compare = (computed: HostTensor | undefined, tolerance = {}) =>
    compareTensor("x", computed, reference, tolerance);

  test("measures the largest deviation against a share of the largest value", () => {
    const computed = f32([1.5, -4, Number.NaN, 0.25], [2, 2]);
    expect(compare(computed, { relative: 0.125 })).toEqual({ name: "x", deviation: 0.5, limit: 0.5, ok: true });
    expect(formatComparison(compare(computed, { relative: 0.12 }))).toBe("x  5.00e-1  4.80e-1  FAIL");
    expect(compare(computed, { relative: 0.12, exact: true }).limit).toBe(0);
  });

  test("fails for an absent tensor, another shape or another pattern of NaN, whatever the tolerance", () => {
    const all = { absolute: 1e9 };
    expect(formatComparison(compare(undefined, all))).toBe("x  not computed  1.00e+9  FAIL");
    expect(compare(f32([1, -4, Number.NaN, 0], [4]), all).problem).toBe("shape [4], wanted [2,2]");
    expect(compare(f32([1, -4, 0, 0], [2, 2]), all).problem).toBe("0 at 2, wanted NaN");
    expect(compare(f32([Number.NaN, -4, Number.NaN, 0], [2, 2]), all).ok).toBe(false);
    expect(compare(i32([1, -4, 0, 0], [2, 2]), all).problem).toBe("dtype i32, wanted f32");
  });

  test("takes integers exactly, also beyond 2^53 and across widths", () => {
    const wide = hostTensor("i64", BigInt64Array.of(2n ** 53n + 1n), [1]);
    const other = hostTensor("i64", BigInt64Array.of(2n ** 53n), [1]);
    expect(compareTensor("x", other, wide, { absolute: 1 }).ok).toBe(false);
    expect(compareTensor("x", i32([7], [1]), hostTensor("i64", BigInt64Array.of(7n), [1]), {}).ok).toBe(true);
  });

  test("tells whole parts apart where a case asks for it, within any tolerance", () => {
    const [told, wanted] = [f32([874.99994, 3], [2]), f32([875, 3.5], [2])];
    expect(compareTensor("x", told, wanted, { absolute: 1 }).ok).toBe(true);
    expect(compareTensor("x", told, wanted, { absolute: 1, exactWholes: true }).problem).toMatch(
      /^874.99.* wanted 875$/,
    );
    expect(compareTensor("x", told, f32([874.1, 3.9], [2]), { absolute: 1, exactWholes: true }).ok).toBe(true);
  });

  test("leaves out what a case ignores", () => {
    expect(compareAll(new Map(), new Map([["x", reference]]), () => ({ ignored: true }))).toEqual([]);
  });
});

test("a folder that fails and a wrong call differ in their exit status", async () => {
  const [out, err]: [string[], string[]] = [[], []];
  const call = (...args: string[]) =>
    main(
      args,
      (line) => out.push(line),
      (line) => err.push(line),
    );
  expect(await call()).toBe(2);
  expect(await call("a", "b", "--dump", "c")).toBe(2);
  expect(await call("--other")).toBe(2);
  expect(err.splice(0)).toEqual(Array(3).fill(expect.stringContaining("usage")));
  expect(await call(join(golden, "absent"))).toBe(1);
  expect(out).toEqual([]);
  expect(() => findCase({ nothing: 1 }, "here")).toThrow("here/config.json: is of no known case; its keys are nothing");
});

test("what was computed is written under the reference's names, also for a folder without outputs", async () => {
  const dir = await mkdtemp(join(tmpdir(), "kelix-parity-"));
  try {
    await cp(join(golden, "preprocess", "config.json"), join(dir, "config.json"));
    await cp(join(golden, "preprocess", "image_a.png"), join(dir, "image_a.png"));
    expect(await main([dir, "--dump", join(dir, "dump.safetensors")], () => {})).toBe(0);
    const written = await readSafetensors(join(dir, "dump.safetensors"));
    const wanted = await readSafetensors(join(golden, "preprocess", "outputs.safetensors"));
    expect(written.get("a.resized_rgb")).toEqual(wanted.get("a.resized_rgb"));
  } finally {
    await rm(dir, { recursive: true });
  }
});

/** The same tensor with its largest value moved by 1 %, an integer by at least 1; nothing if there is no value. */
function changeLargest(tensor: HostTensor): { tensor: HostTensor; by: number } | undefined {
  const data = tensor.data.slice();
  const size = (i: number) => Math.abs(Number(data[i])) || 0;
  let at = 0;
  for (let i = 1; i < data.length; i++) if (size(i) > size(at)) at = i;
  if (data.length === 0) return undefined;
  const before = Number(data[at]);
  if (data instanceof BigInt64Array) data[at]! += 1n + data[at]! / 100n;
  else if (data instanceof Float32Array || data instanceof Float64Array) data[at]! *= 1.01;
  else data[at]! -= Math.max(1, Math.round(data[at]! / 100));
  return { tensor: { ...tensor, data }, by: Math.abs(Number(data[at]) - before) };
}
