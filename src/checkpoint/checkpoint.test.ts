import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { quantize } from "../kernels/plain-quantization.ts";
import { writeSafetensors } from "../quantize/safetensors-file.ts";
import { f32ToBf16 } from "../quantize/to-bfloat16.ts";
import { f32, hostTensor } from "../runtime/host-tensor.ts";
import { openSession } from "../runtime/session.ts";
import { Graph } from "../tensor/graph.ts";
import { openCheckpointAt } from "../train/open-checkpoint.ts";
import { bf16ToF32, f16ToF32 } from "./bfloat16.ts";
import { findDifferences } from "./checkpoint.ts";

let root: string;
beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "kelix-checkpoint-")));
});
afterAll(() => rm(root, { recursive: true }));

describe("16-bit floats", () => {
  test("round to the nearest bfloat16, ties to even", () => {
    const values = Float32Array.of(
      1,
      1 + 2 ** -8,
      1 + 3 * 2 ** -8,
      -0,
      3.4e38,
      Number.NaN,
      Number.NEGATIVE_INFINITY,
      1e-40,
    );
    const back = bf16ToF32(f32ToBf16(values));
    const expected = Float32Array.of(1, 1, 1 + 2 ** -6, -0, Infinity, Number.NaN, -Infinity, 1e-40);
    expected[7] = 65536 * 2 ** -149; // 1e-40 is 71362 steps of 2^-149; a bfloat16 keeps multiples of 65536
    expect(back).toEqual(expected);
  });

  test("read float16 with subnormals, infinity and NaN", () => {
    const bits = Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x7c00, 0xfc00, 0x7e00, 0x8000);
    const values = [1, -2, 65504, 2 ** -24, 1023 * 2 ** -24, Infinity, -Infinity, Number.NaN, -0];
    expect(f16ToF32(bits)).toEqual(Float32Array.from(values));
  });
});

describe("a checkpoint", () => {
  test("runs from files that are links to elsewhere, as in the Hub's cache", async () => {
    const [blobs, snapshot] = [join(root, "blobs"), join(root, "snapshot")];
    await mkdir(blobs);
    await mkdir(snapshot);
    await writeSafetensors(join(blobs, "0f3a"), [["w", f32(new Float32Array(64).fill(3), [64])]]);
    await symlink(join("..", "blobs", "0f3a"), join(snapshot, "model.safetensors"));
    const checkpoint = await openCheckpointAt(snapshot);
    const graph = new Graph();
    graph.output("sum", graph.params.get("w", [64]).sum([0]));
    const session = await openSession(graph, checkpoint);
    expect((await session.run({})).sum!.data[0]).toBe(192);
    await session.release();
    await checkpoint.close();
  });

  test("is not made of the side files that macOS leaves beside its files", async () => {
    const folder = join(root, "from-a-mac");
    await mkdir(folder);
    await writeSafetensors(join(folder, "model.safetensors"), [["w", f32([1], [1])]]);
    await writeFile(join(folder, "model.safetensors.index.json"), '{"weight_map":{"w":"model.safetensors"}}');
    const note = Uint8Array.of(0, 5, 0x16, 7, 0, 2, 0, 0);
    for (const name of ["model.safetensors", "model.safetensors.index.json", "old.safetensors", "pytorch_model.bin"]) {
      await writeFile(join(folder, `._${name}`), note);
    }
    const checkpoint = await openCheckpointAt(folder);
    expect(checkpoint.names()).toEqual(["w"]);
    await checkpoint.close();
    await rm(join(folder, "model.safetensors"));
    await rm(join(folder, "model.safetensors.index.json"));
    await expect(openCheckpointAt(folder)).rejects.toThrow("holds no *.safetensors file");
  });

  test("says what stands in place of its weights: pointers, or what is no file", async () => {
    const folder = join(root, "pointers");
    await mkdir(folder);
    const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    await writeFile(join(folder, "model.safetensors"), pointer);
    await expect(openCheckpointAt(folder)).rejects.toThrow(/model\.safetensors: is a pointer of Git LFS.*git lfs pull/);
    await rm(join(folder, "model.safetensors"));
    await mkdir(join(folder, "model.safetensors"));
    await expect(openCheckpointAt(folder)).rejects.toThrow("model.safetensors is a folder, wanted a file");
  });

  test("merges the files of a folder, later ones winning, and reads as float32", async () => {
    const folder = await mkdtemp(join(root, "merge-"));
    await writeSafetensors(join(folder, "model-00001.safetensors"), [
      ["a", f32([1], [1])],
      ["b", f32([2], [1])],
    ]);
    await writeSafetensors(join(folder, "model-00002.safetensors"), [
      ["b", hostTensor("bf16", f32ToBf16(Float32Array.of(3)), [1])],
      ["n", hostTensor("i64", BigInt64Array.of(1n), [1])],
    ]);
    const checkpoint = await openCheckpointAt(folder);
    expect(checkpoint.names()).toEqual(["a", "b", "n"]);
    expect(await checkpoint.read("b")).toEqual(f32([3], [1]));
    expect(checkpoint.find("b")).toMatchObject({
      dtype: "bf16",
      byteLength: 2,
      file: join(folder, "model-00002.safetensors"),
    });
    expect(checkpoint.find("c")).toBeUndefined();
    await expect(checkpoint.read("n")).rejects.toThrow(/"n" has dtype i64, wanted a floating-point one/);
    await checkpoint.close();
  });

  test("says how to convert a folder of pickles, and that an empty one is empty", async () => {
    const folder = await mkdtemp(join(root, "pickle-"));
    await expect(openCheckpointAt(folder)).rejects.toThrow(/holds no \*\.safetensors file/);
    await writeFile(join(folder, "pytorch_model.bin"), "");
    await expect(openCheckpointAt(folder)).rejects.toThrow(
      /pytorch_model.bin is a pickle.*safetensors.torch.save_file/,
    );
    await expect(openCheckpointAt(join(folder, "pytorch_model.bin"))).rejects.toThrow(/is a pickle/);
  });

  test("lists every difference from the model", async () => {
    const path = join(root, "model.safetensors");
    await writeSafetensors(path, [
      ["a", f32([1, 2], [2])],
      ["extra", f32([1], [1])],
      ["dead", f32([1], [1])],
    ]);
    const checkpoint = await openCheckpointAt(path);
    const unused = (name: string) => name === "dead";
    const declared = [
      { name: "a", shape: [3] },
      { name: "b", shape: [4, 5] },
      { name: "c", shape: [] },
    ];
    expect(findDifferences(declared, checkpoint, unused)).toEqual([
      "2 missing: b [4,5], c []",
      "1 of another shape: a has shape [2], the config wants [3]",
      "1 unknown: extra",
    ]);
    const right = [
      { name: "a", shape: [2] },
      { name: "extra", shape: [1] },
    ];
    expect(findDifferences(right, checkpoint, unused)).toEqual([]);
    await checkpoint.close();
  });
});

describe("a quantised matrix", () => {
  const format = { bits: 4, block: 32 } as const;
  const elements = Float32Array.from({ length: 3 * 64 }, (_, i) => (i % 16) - 8); // every block exact with a scale of 1
  const { values, scales } = quantize(elements, format);
  const stored = hostTensor("u8", values, [3, 2, 16]);

  test("is one tensor of the matrix's shape, whose scales may lie in another file", async () => {
    const folder = await mkdtemp(join(root, "quantised-"));
    await writeSafetensors(join(folder, "model-1.safetensors"), [["w", stored]]);
    await writeSafetensors(join(folder, "model-2.safetensors"), [["w_scale", f32(scales, [3, 2])]]);
    const checkpoint = await openCheckpointAt(folder);
    expect(checkpoint.names()).toEqual(["w"]);
    expect(checkpoint.find("w")).toMatchObject({ shape: [3, 64], bits: 4, block: 32 });
    expect(findDifferences([{ name: "w", shape: [3, 64] }], checkpoint)).toEqual([]);
    expect(findDifferences([{ name: "w", shape: [3, 32] }], checkpoint)[0]).toContain("w has shape [3,64]");
    expect(await checkpoint.read("w")).toEqual(f32(elements, [3, 64]));
    expect(await checkpoint.read("w", [1, 3])).toEqual(f32(elements.slice(64), [2, 64]));
    await checkpoint.close();
  });

  test.each([
    ["scales of another length", stored, f32(new Float32Array(8), [4, 2])],
    ["scales in another order", stored, f32(scales, [2, 3])],
    ["scales that are no float32", stored, hostTensor("bf16", f32ToBf16(scales), [3, 2])],
    ["blocks of a size that there is not", hostTensor("u8", values, [3, 4, 8]), f32(new Float32Array(12), [3, 4])],
    ["two axes", hostTensor("u8", values, [6, 16]), f32(scales, [6, 1])],
  ])("is rejected with %s", async (_, own, ownScales) => {
    const path = join(await mkdtemp(join(root, "misfit-")), "model.safetensors");
    await writeSafetensors(path, [
      ["w", own],
      ["w_scale", ownScales],
    ]);
    await expect(openCheckpointAt(path)).rejects.toThrow(/w is u8 \[.*a quantised matrix is u8 \[out, blocks, /);
  });

  test("without scales, or scales without it, are not the model's", async () => {
    const path = join(await mkdtemp(join(root, "lone-")), "model.safetensors");
    await writeSafetensors(path, [
      ["v_scale", f32(scales, [3, 2])],
      ["w", stored],
      ["x", hostTensor("u8", values, [3, 32])],
    ]);
    const checkpoint = await openCheckpointAt(path);
    const declared = [
      { name: "w", shape: [3, 64] },
      { name: "x", shape: [3, 32] },
    ];
    expect(findDifferences(declared, checkpoint).join()).toMatch(
      /w has shape \[3,2,16\].*2 of integers: w is u8, x is u8.*1 unknown: v_scale/,
    );
    await checkpoint.close();
  });
});
