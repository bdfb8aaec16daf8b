import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type GgufTensor, writeGguf } from "./gguf.ts";
import { writeRandomGguf } from "./random-gguf.ts";
import { decodingShapes } from "./shapes.ts";

/** Reads a file back by the format's description, with none of the writer's code. */
function parse(file: Buffer) {
  let at = 0;
  const skip = (bytes: number) => {
    at += bytes;
    return at - bytes;
  };
  const u32 = () => file.readUInt32LE(skip(4));
  const u64 = () => Number(file.readBigUInt64LE(skip(8)));
  const text = () => {
    const length = u64();
    return file.toString("utf8", skip(length), at);
  };
  const value = (type: number): unknown => {
    if (type === 4) return u32();
    if (type === 5) return file.readInt32LE(skip(4));
    if (type === 6) return file.readFloatLE(skip(4));
    if (type === 8) return text();
    const inner = u32();
    return Array.from({ length: u64() }, () => value(inner));
  };
  const magic = file.toString("latin1", skip(4), at);
  const version = u32();
  const [tensorCount, keyCount] = [u64(), u64()];
  const metadata = Object.fromEntries(Array.from({ length: keyCount }, () => [text(), value(u32())]));
  const tensors = Array.from({ length: tensorCount }, () => {
    const name = text();
    const shape = Array.from({ length: u32() }, u64);
    return { name, shape, type: u32(), offset: u64() };
  });
  return { magic, version, metadata, tensors, data: Math.ceil(at / 32) * 32 };
}

async function withFile<T>(use: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "kelix-gguf-"));
  try {
    return await use(join(folder, "model.gguf"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

const tensor = (name: string, values: number[]): GgufTensor => ({
  name,
  type: "f32",
  shape: [values.length],
  bytes: () => new Uint8Array(Float32Array.from(values).buffer),
});

test("writes metadata of every kind, and tensors at aligned places", async () => {
  const metadata = { a: 7, b: "text é", c: { float: 0.5 }, d: { integers: [1, -2] }, e: { texts: ["x", ""] } };
  const file = await withFile(async (path) => {
    await writeGguf(path, metadata, [tensor("one", [1, 2, 3]), tensor("two", [4])]);
    return readFile(path);
  });
  const parsed = parse(file);
  expect([parsed.magic, parsed.version]).toEqual(["GGUF", 3]);
  expect(parsed.metadata).toEqual({ a: 7, b: "text é", c: 0.5, d: [1, -2], e: ["x", ""] });
  expect(parsed.tensors).toEqual([
    { name: "one", shape: [3], type: 0, offset: 0 },
    { name: "two", shape: [1], type: 0, offset: 32 },
  ]);
  expect(file.readFloatLE(parsed.data + 8)).toBe(3);
  expect(file.readFloatLE(parsed.data + 32)).toBe(4);
  expect(file.length).toBe(parsed.data + 64);
});

test("rejects bytes that do not fill a tensor, and leaves no file", async () => {
  const short = { ...tensor("short", [1, 2]), shape: [3] };
  await withFile(async (path) => {
    await expect(writeGguf(path, {}, [short])).rejects.toThrow("short: 8 bytes where its shape takes 12");
    await expect(readFile(path)).rejects.toThrow("ENOENT");
  });
});

test("a random model has Qwen3's tensors, 18 bytes for each 32 weights", async () => {
  const shape = decodingShapes.toy;
  const file = await withFile(async (path) => {
    await writeRandomGguf(path, shape);
    return readFile(path);
  });
  const { metadata, tensors, data } = parse(file);
  expect(metadata["general.architecture"]).toBe("qwen3");
  expect((metadata["tokenizer.ggml.tokens"] as string[]).length).toBe(shape.vocabulary);
  expect(tensors.length).toBe(3 + 11 * shape.layers);
  const down = tensors.findIndex(({ name }) => name === "blk.1.ffn_down.weight");
  expect(tensors[down]).toMatchObject({ shape: [shape.feedForward, shape.width], type: 2 });
  expect(tensors[down + 1]!.offset - tensors[down]!.offset).toBe(((512 * 256) / 32) * 18);
  const last = tensors.at(-1)!;
  expect(last.name).toBe("output.weight");
  expect(file.length).toBe(data + last.offset + ((shape.vocabulary * shape.width) / 32) * 18);
});
