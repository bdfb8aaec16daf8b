import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { bf16ToF32 } from "../checkpoint/bfloat16.ts";
import { counterRandom } from "../random/counter.ts";
import { f32, type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import { openCheckpointAt } from "../train/open-checkpoint.ts";
import { ConvertMemory } from "./convert-memory.ts";
import { type ConvertTensorOptions, convertTensor, storedTensors } from "./convert-tensor.ts";
import type { StoredForm, TensorPlan } from "./precision.ts";
import { writeSafetensors } from "./safetensors-file.ts";
import { ShardedWriter } from "./sharded-writer.ts";
import { f32ToBf16 } from "./to-bfloat16.ts";

const memory = new ConvertMemory();
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-tensor-"));
});
afterAll(() => rm(root, { recursive: true }));

/** Converts one tensor and reads it back. */
async function convert(
  tensor: HostTensor,
  form: StoredForm,
  { rows, ...options }: Pick<TensorPlan, "rows"> & Partial<ConvertTensorOptions> = {},
) {
  const folder = await mkdtemp(join(root, "one-"));
  await writeSafetensors(join(folder, "source.safetensors"), [["w", tensor]]);
  const source = await openCheckpointAt(join(folder, "source.safetensors"));
  const plan: TensorPlan = { name: "w", shape: tensor.shape, form, ...(rows && { rows }) };
  const writer = await ShardedWriter.create(folder, "target", new Map(storedTensors(plan)));
  try {
    const sums = await convertTensor(plan, source, writer, { memory, ...options });
    await writer.finish();
    const target = await openCheckpointAt(join(folder, "target.safetensors"));
    const result = { ...sums, read: (await target.read("w")).data as Float32Array };
    await target.close();
    return result;
  } finally {
    await writer.close();
    await source.close();
  }
}

const steps = Float32Array.from({ length: 4 * 64 }, (_, i) => (i % 16) - 8);

describe("a tensor", () => {
  test.each([
    ["float32", f32(steps, [4, 64])],
    ["bfloat16", hostTensor("bf16", f32ToBf16(steps), [4, 64])],
    ["float16", hostTensor("f16", halves(steps), [4, 64])],
    ["float64", hostTensor("f64", Float64Array.from(steps), [4, 64])],
  ])("of %s is read into every form, without error where it is one", async (_, tensor) => {
    for (const form of ["f32", "bf16", { bits: 4, block: 32 }, { bits: 8, block: 32 }] as const) {
      const { read, energy, error } = await convert(tensor, form);
      expect(energy).toBe(steps.reduce((sum, x) => sum + x * x, 0));
      expect(error).toBeLessThan(1e-4 * energy);
      for (const [i, x] of steps.entries()) expect(read[i]).toBeCloseTo(x, 1);
    }
  });

  test("reports the sum of the squares of what changed", async () => {
    const { read, error } = await convert(f32([1 + 2 ** -9, 1, 3], [3]), "bf16");
    expect([...read]).toEqual([1, 1, 3]);
    expect(error).toBe(2 ** -18);
  });

  test("of which the model reads some rows keeps those, and zeros elsewhere", async () => {
    const { read, energy } = await convert(f32(new Float32Array(5 * 3).fill(1), [5, 3]), "bf16", { rows: [2, 4] });
    expect([...read]).toEqual([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0]);
    expect(energy).toBe(6);
  });

  test("that is a single number passes", async () => {
    expect([...(await convert(f32([7], []), "f32")).read]).toEqual([7]);
  });

  const normal = counterRandom(1, "weights").fillNormal(new Float32Array(37 * 128));

  test.each(["f32", "bf16", { bits: 4, block: 32 }, { bits: 8, block: 128 }] as const)(
    "is the same however many of its rows are read at a time: %j",
    async (form) => {
      const whole = await convert(f32(normal, [37, 128]), form);
      for (const runElements of [1, 5 * 128, 36 * 128]) {
        const { read, energy, error } = await convert(f32(normal, [37, 128]), form, { runElements });
        expect(read).toEqual(whole.read);
        expect(energy).toBeCloseTo(whole.energy, 9); // in float64, in another order
        expect(error).toBeCloseTo(whole.error, 9);
      }
    },
  );

  test("may have rows of any length at 16 bits", async () => {
    for (const width of [1, 7, 33, 4097]) {
      const elements = normal.subarray(0, width);
      const { read, error } = await convert(f32(elements, [1, width]), "bf16");
      expect(read).toEqual(bf16ToF32(f32ToBf16(elements)));
      expect(error).toBeCloseTo(
        elements.reduce((sum, x, i) => sum + (x - read[i]!) ** 2, 0),
        9,
      );
    }
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("that holds %d is rejected", async (bad) => {
    const elements = new Float32Array(4 * 128).fill(1);
    elements[400] = bad;
    for (const form of ["bf16", "f32", { bits: 4, block: 32 }, { bits: 8, block: 128 }] as const)
      await expect(convert(f32(elements, [4, 128]), form)).rejects.toThrow(/w contains NaN or infinity/);
  });

  test("is left in the middle when the signal says so", async () => {
    const controller = new AbortController();
    const onWritten = vi.fn(() => controller.abort(new Error("enough")));
    const options = { runElements: 128, onWritten, signal: controller.signal };
    await expect(convert(f32(normal, [37, 128]), "bf16", options)).rejects.toThrow("enough");
    expect(onWritten).toHaveBeenCalledTimes(1);
  });
});

/** Small whole numbers as float16. */
function halves(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, (x) => {
    if (x === 0) return 0;
    const exponent = Math.floor(Math.log2(Math.abs(x)));
    return (x < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | ((Math.abs(x) / 2 ** exponent - 1) * 1024);
  });
}
