import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ModelError } from "../errors.ts";
import { openSafetensorsAt, readSafetensors, writeSafetensors } from "../quantize/safetensors-file.ts";
import { elementBytes, f32, fromBuffer, hostTensor } from "../runtime/host-tensor.ts";
import { dtypeNames, headerLength, parseHeader } from "./safetensors-header.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-safetensors-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A whole file: length, header text, `dataBytes` zeros. */
function file(header: string, dataBytes: number, claimed?: bigint): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

function parse(bytes: Uint8Array) {
  const length = headerLength(bytes.subarray(0, 8), bytes.length, "x.safetensors");
  return parseHeader(bytes.subarray(8, 8 + length), bytes.length, "x.safetensors");
}

const a = (span: string, shape = "[2]", dtype = "F32") =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${span}}`;

describe("a hostile or broken header", () => {
  const table: [what: string, bytes: Uint8Array, message: RegExp][] = [
    ["an empty file", new Uint8Array(0), /has 0 bytes/],
    ["a file shorter than the length field", new Uint8Array(5), /has 5 bytes/],
    ["a length of 2^64-1", file("{}", 0, 2n ** 64n - 1n), /claims 18446744073709551615 bytes, the file has 10/],
    ["a length of 1 GB in a small file", file("{}", 0, 10n ** 9n), /claims 1000000000 bytes/],
    ["a header longer than the file by one", file("{}", 0, 3n), /claims 3 bytes, the file has 10/],
    ["no JSON", file("hello", 0), /not JSON/],
    ["broken UTF-8", Uint8Array.from([2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0x28]), /not JSON in UTF-8/],
    ["an array", file("[]", 0), /is \[\], wanted a JSON object/],
    ["null", file("null", 0), /is null/],
    ["an unfinished string", file('{"a', 0), /not JSON/],
    ["a duplicate tensor", file(`{"a":${a("[0,8]")},"a":${a("[0,8]")}}`, 8), /key "a" twice/],
    ["a duplicate tensor behind an escape", file(`{"a":${a("[0,8]")},"\\u0061" :${a("[0,8]")}}`, 8), /key "a" twice/],
    [
      "a duplicate field",
      file('{"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}}', 8),
      /"shape" twice/,
    ],
    ["nine axes", file(`{"a":${a("[0,8]", "[1,1,1,1,1,1,1,1,2]")}}`, 8), /a shape of 9 axes, at most 8/],
    [
      "a shape of huge sizes, which take long to multiply",
      file(`{"a":${a("[0,8]", `[${Array(300_000).fill(Number.MAX_SAFE_INTEGER)}]`)}}`, 8),
      /a shape of 300000 axes, at most 8/,
    ],
    [
      "more tensors than a model has",
      file(`{${Array.from({ length: 200_001 }, (_, i) => `"${i}":${a("[0,0]", "[0]")}`)}}`, 0),
      /an object of more than 200000 keys/,
    ],
    [
      "a name of a megabyte",
      file(`{"${"n".repeat(1e6)}":${a("[0,8]")}}`, 8),
      /a name of 1000000 characters, at most 1000/,
    ],
    ["a pointer of Git LFS", new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\n"), /Git LFS/],
    ["a side file of macOS", Uint8Array.of(0, 5, 0x16, 7, 0, 2, 0, 0, 0, 0), /side file of macOS/],
    ["__proto__", file(`{"__proto__":${a("[0,8]")}}`, 8), /__proto__/],
    ["__proto__ with escapes", file(`{"__pr\\u006fto__":${a("[0,8]")}}`, 8), /__proto__/],
    ["deep nesting", file(`${"[".repeat(1e5)}${"]".repeat(1e5)}`, 0), /nested more than 3 deep/],
    ["a tensor that is a number", file('{"a":1}', 0), /tensor "a" has dtype missing/],
    ["an unknown dtype", file(`{"a":${a("[0,8]", "[2]", "F33")}}`, 8), /dtype "F33", wanted one of F64 F32/],
    ["a dtype named constructor", file(`{"a":${a("[0,8]", "[2]", "constructor")}}`, 8), /dtype "constructor"/],
    ["a negative size", file(`{"a":${a("[0,8]", "[-2]")}}`, 8), /shape \[-2\]/],
    ["a fractional size", file(`{"a":${a("[0,8]", "[1.5]")}}`, 8), /shape \[1.5\]/],
    ["a shape of text", file(`{"a":${a("[0,8]", '["2"]')}}`, 8), /shape \["2"\]/],
    [
      "a shape whose product overflows",
      file(`{"a":${a("[0,8]", "[4294967296,4294967296,2]")}}`, 8),
      /wants 147573952589676412928/,
    ],
    [
      "a shape that does not fill its span",
      file(`{"a":${a("[0,8]", "[3]")}}`, 8),
      /spans 8 bytes, F32 of shape \[3\] wants 12/,
    ],
    ["no offsets", file('{"a":{"dtype":"F32","shape":[2]}}', 0), /data_offsets missing/],
    ["negative offsets", file(`{"a":${a("[-8,0]")}}`, 8), /data_offsets \[-8,0\]/],
    ["fractional offsets", file(`{"a":${a("[0.5,8.5]")}}`, 9), /data_offsets/],
    ["an infinite offset", file(`{"a":${a("[0,1e999]")}}`, 8), /data_offsets/],
    ["three offsets", file(`{"a":${a("[0,4,8]")}}`, 8), /data_offsets/],
    ["offsets in reverse", file(`{"a":${a("[8,0]")}}`, 8), /spans 8 to 0/],
    ["a span beyond the file", file(`{"a":${a("[0,8]")}}`, 7), /spans 0 to 8, the file holds 0 to 7/],
    ["an overlap", file(`{"a":${a("[0,8]")},"b":${a("[4,12]")}}`, 12), /"b" overlaps/],
    ["a gap", file(`{"a":${a("[0,8]")},"b":${a("[9,17]")}}`, 17), /"b" leaves a gap/],
    ["a gap at the start", file(`{"a":${a("[1,9]")}}`, 9), /"a" leaves a gap/],
    ["bytes after the last tensor", file(`{"a":${a("[0,8]")}}`, 9), /the tensors end at byte/],
    ["metadata that is not text", file('{"__metadata__":{"a":1}}', 0), /__metadata__ "a" is 1/],
    ["metadata that is a list", file('{"__metadata__":["a"]}', 0), /__metadata__ is/],
  ];

  test.each(table)("rejects %s", (_, bytes, message) => {
    expect(() => parse(bytes)).toThrow(ModelError);
    expect(() => parse(bytes)).toThrow(message);
  });

  test("names the file in every refusal, and stays one readable line", () => {
    for (const [, bytes] of table) {
      expect(() => parse(bytes)).toThrow(/^x\.safetensors: .{1,250}$/);
    }
  });

  test("rejects a header over the cap even if the file were large enough", () => {
    const prefix = file("", 0, 100_000_001n);
    expect(() => headerLength(prefix, 200_000_000, "x")).toThrow(/at most 100000000/);
  });

  test("rejects or reads every mutation of a good file, without another kind of error", () => {
    const good = file(
      `{"__metadata__":{"k":"v"},"a":${a("[0,8]")},"b":${a("[8,10]", "[2]", "U8")},"c":${a("[8,8]", "[0]")}}`,
      10,
    );
    expect(parse(good).tensors.size).toBe(3);
    const edit = fc.record({ at: fc.nat(good.length - 11), byte: fc.integer({ min: 0, max: 255 }) });
    const mutated = fc.tuple(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.nat(good.length));
    fc.assert(
      fc.property(mutated, ([edits, cut]) => {
        const bytes = good.slice(0, good.length - (cut % 7 === 0 ? cut : 0));
        for (const { at, byte } of edits) bytes[at] = byte;
        try {
          for (const { byteOffset, byteLength, dtype, shape } of parse(bytes).tensors.values()) {
            expect(byteOffset + byteLength).toBeLessThanOrEqual(bytes.length);
            expect(shape.reduce((x, y) => x * y, elementBytes(dtype))).toBe(byteLength);
          }
        } catch (error) {
          if (!(error instanceof ModelError)) throw error;
        }
      }),
      { numRuns: 3000, seed: 1 },
    );
  });
});

describe("writing and reading", () => {
  test("returns what was written, for every dtype", async () => {
    const path = join(folder, "all.safetensors");
    const dtypes = Object.keys(dtypeNames) as (keyof typeof dtypeNames)[];
    const tensors = dtypes.map((dtype, i) => {
      const bytes = Uint8Array.from({ length: 3 * elementBytes(dtype) }, (_, k) =>
        dtype === "bool" ? k % 2 : 7 * i + k,
      );
      return [`t.${dtype}`, fromBuffer(dtype, bytes.buffer, [3])] as const;
    });
    await writeSafetensors(path, [...tensors, ["empty", f32([], [0, 4])], ["scalar", f32([2], [])]], { made: "here" });
    const opened = await openSafetensorsAt(path);
    expect(opened.metadata).toEqual({ made: "here" });
    for (const [name, tensor] of tensors) expect(await opened.read(name)).toEqual(tensor);
    expect(await opened.read("empty")).toEqual(f32([], [0, 4]));
    expect(await opened.read("scalar")).toEqual(f32([2], []));
    for (const { byteOffset, dtype } of opened.tensors.values()) expect(byteOffset % elementBytes(dtype)).toBe(0);
    await expect(opened.read("other")).rejects.toThrow('all.safetensors: has no tensor "other"');
    await opened.close();
  });

  test("gives the same bytes whatever the order of the tensors", async () => {
    const entries = [
      ["b", f32([1, 2], [2])],
      ["a", hostTensor("u16", Uint16Array.of(3), [1])],
    ] as const;
    await writeSafetensors(join(folder, "one.safetensors"), entries, { x: "1", y: "2" });
    await writeSafetensors(join(folder, "two.safetensors"), [...entries].reverse(), { y: "2", x: "1" });
    expect(await readFile(join(folder, "one.safetensors"))).toEqual(await readFile(join(folder, "two.safetensors")));
  });

  test("keeps the old file and leaves nothing behind when writing fails", async () => {
    const inner = await mkdtemp(join(folder, "fail-"));
    const path = join(inner, "kept.safetensors");
    await writeSafetensors(path, [["a", f32([1], [1])]]);
    const before = await readFile(path);
    const broken = { dtype: "f32", shape: [1], data: new Float32Array(1) } as const;
    // A getter that fails half-way stands for a full disk.
    let reads = 0;
    const failing = {
      ...broken,
      get data() {
        if (++reads > 1) throw new Error("disk full");
        return broken.data;
      },
    };
    await expect(writeSafetensors(path, [["a", failing]])).rejects.toThrow(/disk full/);
    expect(await readdir(inner)).toEqual(["kept.safetensors"]);
    expect(await readFile(path)).toEqual(before);
  });

  test("rejects to write a name twice or a shape that does not fit", async () => {
    const path = join(folder, "never.safetensors");
    const one = f32([1], [1]);
    await expect(
      writeSafetensors(path, [
        ["a", one],
        ["a", one],
      ]),
    ).rejects.toThrow(/"a" is duplicated/);
    await expect(writeSafetensors(path, [["a", { ...one, shape: [2] }]])).rejects.toThrow(
      /has 1 elements, its shape is \[2\]/,
    );
  });

  test("says which file cannot be opened, and closes a broken one", async () => {
    await expect(openSafetensorsAt(join(folder, "absent.safetensors"))).rejects.toThrow(
      /absent.safetensors: cannot be read: there is no such file/,
    );
    await writeFile(join(folder, "bad.safetensors"), file("{}", 0, 2n ** 64n - 1n));
    await expect(readSafetensors(join(folder, "bad.safetensors"))).rejects.toThrow(
      /bad.safetensors: the header claims/,
    );
  });
});
