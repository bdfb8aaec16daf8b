// Model folders of strangers: what is damaged or made to harm is rejected in one sentence, by the library, the CLI and the server, before
// it costs time or memory; code that a folder brings along is never run.

import { access, appendFile, cp, mkdtemp, open, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kelix, KelixError, ModelError } from "../src/index.ts";
import { runCli } from "./run-cli.ts";
import { writeTinyModel } from "./tiny-model.ts";

/** Rejecting needs no weights; a busy machine may be slow all the same. */
const SOON_MS = 5_000;
const WEIGHTS = "model.safetensors";

let root: string;
let good: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-hostile-"));
  good = await writeTinyModel(join(root, "good"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** A copy of the good model, changed. */
async function folderOf(change: (folder: string) => Promise<void>): Promise<string> {
  const folder = await mkdtemp(join(root, "bad-"));
  await cp(good, folder, { recursive: true });
  await change(folder);
  return folder;
}

/** Writes other bytes over the first of the weights: the length of their header. */
async function claimLength(folder: string, length: bigint): Promise<void> {
  const file = await open(join(folder, WEIGHTS), "r+");
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(length);
  await file.write(bytes, 0, 8, 0);
  await file.close();
}

/** Writes another header before the same tensors. */
async function editHeader(folder: string, edit: (header: string) => string): Promise<void> {
  const path = join(folder, WEIGHTS);
  const bytes = await readFile(path);
  const end = 8 + Number(bytes.readBigUInt64LE(0));
  const header = Buffer.from(edit(bytes.subarray(8, end).toString()));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  await writeFile(path, Buffer.concat([length, header, bytes.subarray(end)]));
}

type Header = Record<string, { shape: number[]; data_offsets: [number, number] }>;

/** Changes the first tensor of the header. */
const editTensor = (folder: string, edit: (tensor: Header[string], header: Header) => void) =>
  editHeader(folder, (text) => {
    const header = JSON.parse(text) as Header;
    const [name] = Object.keys(header).filter((name) => name !== "__metadata__");
    edit(header[name!]!, header);
    return JSON.stringify(header);
  });

async function editJson(folder: string, file: string, edit: (json: Record<string, object>) => void): Promise<void> {
  const path = join(folder, file);
  const json = JSON.parse(await readFile(path, "utf8"));
  edit(json);
  await writeFile(path, JSON.stringify(json));
}

/** A file of so many bytes that take no room. */
async function writeLong(path: string, bytes: number): Promise<void> {
  await appendFile(path, "");
  await truncate(path, bytes);
}

const hostile: readonly (readonly [what: string, change: (folder: string) => Promise<void>, says: RegExp])[] = [
  ["a header of 2^64-1 bytes", (folder) => claimLength(folder, 2n ** 64n - 1n), /claims 18446744073709551615 bytes/],
  [
    "a header of 1 GB in a file of 2 GB",
    async (folder) => {
      await truncate(join(folder, WEIGHTS), 2 ** 31);
      await claimLength(folder, 2n ** 30n);
    },
    /1073741824 bytes, at most 100000000/,
  ],
  [
    "a tensor twice",
    (folder) => editHeader(folder, (text) => text.replace(/^\{("[^"]+":\{[^}]*\}),/, "{$1,$1,")),
    /the key "[^"]+" twice/,
  ],
  [
    "a tensor named __proto__",
    (folder) => editHeader(folder, (text) => text.replace(/"[^"]+":\{"dtype"/, '"__proto__":{"dtype"')),
    /__proto__/,
  ],
  ["negative offsets", (folder) => editTensor(folder, (tensor) => (tensor.data_offsets[0] = -8)), /data_offsets \[-8,/],
  [
    "tensors that overlap",
    (folder) =>
      editTensor(folder, (first, header) => {
        const next = Object.values(header).find(({ data_offsets }) => data_offsets?.[0] === first.data_offsets[1])!;
        next.data_offsets = [next.data_offsets[0] - 2, next.data_offsets[1] - 2];
      }),
    /overlaps/,
  ],
  [
    "a tensor of more numbers than it has bytes for",
    (folder) => editTensor(folder, ({ shape }) => shape.unshift(1000)),
    /spans \d+ bytes, BF16 of shape \[1000,/,
  ],
  [
    "tensors beyond the end of the file",
    async (folder) => truncate(join(folder, WEIGHTS), (await readFile(join(folder, WEIGHTS))).length - 1000),
    /the file holds 0 to/,
  ],
  [
    "an index that leads out of the folder",
    (folder) =>
      writeFile(join(folder, "model.safetensors.index.json"), '{"weight_map":{"a":"../../good/model.safetensors"}}'),
    /beside the index/,
  ],
  [
    "a pickle in place of the weights",
    (folder) => rename(join(folder, WEIGHTS), join(folder, "pytorch_model.bin")),
    /pytorch_model\.bin is a pickle.*save_file/,
  ],
  [
    "a foreign ONNX graph in place of the weights, whose data lie elsewhere",
    async (folder) => {
      await rm(join(folder, WEIGHTS));
      await writeFile(join(folder, "model.onnx"), "\x08\x07external_data location ../../../etc/passwd");
    },
    /holds no \*\.safetensors file/,
  ],
  [
    "a pattern that takes for ever",
    (folder) =>
      editJson(folder, "tokenizer.json", (json) => {
        const split = { type: "Split", pattern: { Regex: "(a+)+$" }, behavior: "Isolated" };
        Object.assign((json.pre_tokenizer as { pretokenizers: object[] }).pretokenizers, [split]);
      }),
    /the pattern "\(a\+\)\+\$" is not supported/,
  ],
  [
    "a tokenizer of 200 MB, as ten million merges have",
    (folder) => writeLong(join(folder, "tokenizer.json"), 200_000_000),
    /tokenizer\.json has 200000000 bytes; at most/,
  ],
  [
    "a config of 1 GB",
    (folder) => writeLong(join(folder, "config.json"), 2 ** 30),
    /config\.json has 1073741824 bytes; at most/,
  ],
  [
    "a config of lists in lists",
    (folder) => writeFile(join(folder, "config.json"), `${"[".repeat(100_000)}${"]".repeat(100_000)}`),
    /config\.json.*nested more than/,
  ],
  [
    "sizes that no machine has",
    (folder) => editJson(folder, "config.json", (json) => Object.assign(json.qwen_config!, { embed_dim: 2 ** 40 })),
    /embed_dim/,
  ],
];

describe("Kelix.load rejects", () => {
  test.each(hostile)("%s", async (_, change, says) => {
    const folder = await folderOf(change);
    const began = performance.now();
    const error = await Kelix.load(folder).then(
      async (kelix) => kelix.dispose(),
      (error: unknown) => error,
    );
    expect(error).toBeInstanceOf(ModelError);
    const { message } = error as ModelError;
    expect(message).toMatch(says);
    expect(message).toMatch(/^[^\n]{1,1000}$/);
    expect(performance.now() - began).toBeLessThan(SOON_MS);
  });
});

test("code that a model names or brings along is not run", async () => {
  const marker = join(root, "was-run");
  const folder = await folderOf(async (folder) => {
    const program = `import { writeFileSync } from "node:fs"; writeFileSync(${JSON.stringify(marker)}, "");`;
    for (const name of ["modeling.mjs", "modeling.js", "index.js"]) await writeFile(join(folder, name), program);
    await writeFile(join(folder, "modeling.py"), `open(${JSON.stringify(marker)}, "w")`);
    const code = {
      auto_map: { AutoModel: "modeling.Model", AutoTokenizer: "./modeling.mjs" },
      trust_remote_code: true,
    };
    for (const file of ["config.json", "tokenizer_config.json", "preprocessor_config.json"])
      await editJson(folder, file, (json) => Object.assign(json, code));
  });
  await using kelix = await Kelix.load(folder, { threads: 1, onWarning: () => undefined });
  await kelix.chat([{ role: "user", content: "Hi" }], { maxNewTokens: 1 }).result();
  await expect(access(marker)).rejects.toThrow("ENOENT");
});

test.each([
  [
    "never ends",
    "{% for i in range(3000) %}{% for j in range(3000) %}{% for k in range(3000) %}{% endfor %}{% endfor %}{% endfor %}",
  ],
  ["looks for a file", "{% include '/etc/hostname' %}{{ messages[0].content }}"],
  ["looks for the process", "{{ messages.constructor.constructor('return process')().exit() }}"],
])("a chat template that %s ends with a sentence", async (_, template) => {
  const folder = await folderOf((folder) => writeFile(join(folder, "chat_template.jinja"), template));
  const asked = (async () => {
    await using kelix = await Kelix.load(folder, { threads: 1 });
    return await kelix.chat([{ role: "user", content: "Hi" }], { maxNewTokens: 1 }).result();
  })();
  const error = await asked.catch((error: unknown) => error);
  expect(error).toBeInstanceOf(KelixError);
  expect((error as KelixError).message).toMatch(/template/);
});

test("codes that lie about their size are rejected, and nothing of the memory is written", async () => {
  const path = join(root, "codes.safetensors");
  const { status } = await runCli(["tokenize", "data/heldout/demo/rocket.png", "-o", path, "--model", good]);
  expect(status).toBe(0);
  const bytes = await readFile(path);
  await writeFile(path, bytes.subarray(0, bytes.length - 64));
  const cut = await runCli(["reconstruct", path, "-o", join(root, "out.png"), "--model", good]);
  expect(cut.err).toMatch(/^kelix: [^\n]*codes\.safetensors[^\n]*the file holds[^\n]*\n$/);
  expect(cut.status).toBe(1);
  await expect(access(join(root, "out.png"))).rejects.toThrow("ENOENT");
});

test("the CLI says the sentence in one line, and a server with such a model ends with it", async () => {
  const folder = await folderOf((folder) => claimLength(folder, 2n ** 64n - 1n));
  const described = await runCli(["describe", "data/heldout/demo/rocket.png", "--model", folder]);
  expect([described.status, described.out]).toEqual([1, ""]);
  expect(described.err).toMatch(/^kelix: [^\n]*model\.safetensors: [^\n]*18446744073709551615 bytes[^\n]*\n$/);
  const served = await runCli(["serve", "--port", "0", "--log-level", "silent", "--model", folder]);
  expect(served.status).toBe(1);
  expect(served.err).toMatch(/18446744073709551615 bytes/);
});
