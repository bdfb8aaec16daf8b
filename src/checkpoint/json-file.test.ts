import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, open, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ModelError } from "../errors.ts";
import { fileAt } from "../files/folder.node.ts";
import { readJson, readJsonIfPresent } from "./json-file.ts";

let root: string;
let file: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-json-"));
  file = join(root, "config.json");
});
afterAll(() => rm(root, { recursive: true }));

/** The message of the ModelError that reading a path throws. */
async function refusal(path: string): Promise<string> {
  const error = await readJson(...fileAt(path)).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ModelError);
  const { message } = error as ModelError;
  expect(message.startsWith(path)).toBe(true);
  return message.slice(path.length);
}

test("reads what is JSON, and nothing where there is no file", async () => {
  await writeFile(file, ' {"a": [1, {"b": "\\u00e9 : {"}], "c": {"a": 2}} ');
  expect(await readJson(...fileAt(file))).toEqual({ a: [1, { b: "é : {" }], c: { a: 2 } });
  expect(await readJsonIfPresent(...fileAt(join(root, "absent.json")))).toBeUndefined();
  expect(await readJsonIfPresent(...fileAt(join(file, "inside-a-file.json")))).toBeUndefined();
  expect(await refusal(join(root, "absent.json"))).toMatch(/cannot be read: there is no such file/);
});

test.each<[what: string, content: string | Uint8Array, message: RegExp]>([
  ["nothing", "", /^ is empty$/],
  ["no JSON", "hunter2-secret-key-material", /^ is not JSON in UTF-8$/],
  ["a cut end", '{"secret": "hunter2', /^ is not JSON in UTF-8$/],
  ["NaN", '{"a": NaN}', /^ is not JSON in UTF-8$/],
  ["broken UTF-8", Uint8Array.of(0x22, 0xc3, 0x28, 0x22), /^ is not JSON in UTF-8$/],
  ["a key twice", '{"a": 1, "b": {"c": 1, "c": 2}}', /^ has the key "c" twice$/],
  ["a key twice behind an escape", '{"abc": 1, "\\u0061bc" : 2}', /^ has the key "abc" twice$/],
  ["__proto__", '{"a": {"__proto__": {"x": 1}}}', /^ has the key "__proto__"/],
  ["deep lists", `{"a": ${"[".repeat(1e6)}`, /^ has brackets nested more than 64 deep$/],
  ["too many bytes", " ".repeat(4_000_001), /^ has 4000001 bytes; at most 4000000 are read$/],
  [
    "a pointer of Git LFS",
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    /^: is a pointer of Git LFS, .*`git lfs pull`.*`kelix pull`$/,
  ],
  ["a side file of macOS", Uint8Array.of(0, 5, 0x16, 7, 0, 2, 0, 0), /^: is a side file of macOS/],
])("rejects %s, and repeats nothing of the file", async (_, content, message) => {
  await writeFile(file, content);
  const found = await refusal(file);
  expect(found).toMatch(message);
  expect(found).not.toContain("hunter2");
});

test("repeats no more than 200 characters of a key", async () => {
  const key = "k".repeat(1e6);
  await writeFile(file, `{"${key}": 1, "${key}": 2}`);
  expect((await refusal(file)).length).toBeLessThan(250);
});

describe("what is no plain file", () => {
  test("is rejected at once, and never waited for", async () => {
    const path = (name: string) => join(root, name);
    await mkdir(path("folder"));
    expect(await refusal(path("folder"))).toBe(" is a folder, wanted a file");
    await symlink("loop", path("loop"));
    expect(await refusal(path("loop"))).toBe(": cannot be read: its links lead in a circle");
    const server = createServer().listen(path("socket"));
    await new Promise((resolve) => server.once("listening", resolve));
    expect(await refusal(path("socket"))).toBe(" is a socket, wanted a file");
    server.close();
  });

  test.skipIf(process.platform === "win32")("may be a pipe or a device", async () => {
    execFileSync("mkfifo", [join(root, "pipe")]);
    expect(await refusal(join(root, "pipe"))).toBe(" is a pipe, wanted a file");
    await symlink("/dev/zero", join(root, "zeros"));
    expect(await refusal(join(root, "zeros"))).toBe(" is a device, wanted a file");
  });
});

test("is not read before its size is known", async () => {
  const sparse = await open(join(root, "sparse.json"), "w");
  await sparse.truncate(1e12); // takes no room, and would take all memory
  await sparse.close();
  expect(await refusal(join(root, "sparse.json"))).toMatch("1000000000000 bytes");
});
