import { describe, expect, test } from "vitest";
import { residualBlocks } from "./mobilenet.ts";
import { readMobileNet } from "./mobilenet-weights.ts";

/** A package of the same form with one or two channels everywhere. */
function tinyPackage(bytesTooFew = 0): [string, string] {
  const layers = [
    ["Conv1", "bn_Conv1", "kernel"],
    ["expanded_conv_depthwise", "expanded_conv_depthwise_BN", "depthwise_kernel"],
    ["expanded_conv_project", "expanded_conv_project_BN", "kernel"],
    ...residualBlocks.flatMap((_, i) =>
      ["expand", "depthwise", "project"].map((part) => {
        const name = `block_${i + 1}_${part}`;
        return [name, `${name}_BN`, part === "depthwise" ? "depthwise_kernel" : "kernel"];
      }),
    ),
  ] as [string, string, string][];
  const entries: string[] = [];
  const bytes: number[] = [];
  const add = (name: string, shape: number[], values: number[]) => {
    entries.push(`{name:"${name}",shape:[${shape}],dtype:"float32",quantization:{min:-1,scale:.5,dtype:"uint8"}}`);
    bytes.push(...values.map((value) => (value + 1) / 0.5));
  };
  for (const [layer, norm, kernel] of layers) {
    // [1, 2, in, out], of a depthwise one [1, 2, out, 1]
    const isDepthwise = kernel === "depthwise_kernel";
    add(`${layer}/${kernel}`, isDepthwise ? [1, 2, 2, 1] : [1, 2, 1, 2], [1, 2, 3, 4]);
    add(`${norm}/gamma`, [2], [2, 4]);
    add(`${norm}/beta`, [2], [0.5, 1]);
    add(`${norm}/moving_mean`, [2], [1, -0.5]);
    add(`${norm}/moving_variance`, [2], [4, 1]);
  }
  while (bytes.length < 800) {
    add(`unused/${bytes.length}`, [2], [0, 0]);
  }
  const base64 = Buffer.from(bytes.slice(0, bytes.length - bytesTooFew)).toString("base64");
  return [`module.exports={weightsManifest:[{weights:[${entries.join(",")}]}]}`, `module.exports="${base64}"`];
}

describe("readMobileNet", () => {
  test("folds each norm into the convolution before it", () => {
    const weights = new Map(readMobileNet(...tinyPackage()));
    expect(weights.size).toBe(2 * (3 + 3 * residualBlocks.length));
    const scales = [2 / Math.sqrt(4.001), 4 / Math.sqrt(1.001)] as const;
    for (const name of ["stem", "blocks.0.depthwise", "blocks.12.project"]) {
      const { shape, data } = weights.get(`${name}.weight`)!;
      expect(shape).toEqual([2, 1, 1, 2]);
      const expected = [1 * scales[0], 3 * scales[0], 2 * scales[1], 4 * scales[1]];
      [...(data as Float32Array)].forEach((value, i) => {
        expect(value).toBeCloseTo(expected[i]!, 5);
      });
      const bias = weights.get(`${name}.bias`)!.data as Float32Array;
      expect(bias[0]).toBeCloseTo(0.5 - scales[0], 5);
      expect(bias[1]).toBeCloseTo(1 + 0.5 * scales[1], 5);
    }
  });

  test("rejects a list that does not match its bytes, and another script", () => {
    expect(() => readMobileNet(...tinyPackage(1))).toThrow("the list has");
    expect(() => readMobileNet("module.exports={}", 'module.exports="AAAA"')).toThrow("the list has 0 numbers");
  });
});
