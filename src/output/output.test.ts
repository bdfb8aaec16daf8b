import { execFileSync } from "node:child_process";
import { createReadStream } from "node:fs";
import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { writeAll } from "./atomic-file.ts";
import { type OutputOptions, openOutput } from "./output.ts";

let root: string;
let folder: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kelix-output-"));
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  folder = await mkdtemp(join(await realpath(root), "t-"));
});

const file = (name: string) => join(folder, name);
async function write(path: string, text: string, options?: OutputOptions): Promise<void> {
  const output = await openOutput(path, options);
  await output.write((handle) => writeAll(handle, Buffer.from(text)));
}
const read = (name: string) => readFile(file(name), "utf8");

test("replaces a file as a whole, keeps its permissions, and leaves nothing else behind", async () => {
  await writeFile(file("a"), "old");
  await chmod(file("a"), 0o640);
  await write(file("a"), "new");
  expect(await read("a")).toBe("new");
  expect((await stat(file("a"))).mode & 0o777).toBe(0o640);
  const output = await openOutput(file("a"));
  await expect(output.write(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await read("a")).toBe("new");
  expect(await readdir(folder)).toEqual(["a"]);
});

test("writes through links, also relative ones, in a row, and to nothing yet", async () => {
  await mkdir(file("sub"));
  await writeFile(file("target"), "old");
  await symlink("../target", file("sub/link"));
  await symlink("sub/link", file("first"));
  await symlink("sub", file("sub-link"));
  await symlink("later", file("dangling"));
  await write(file("first"), "1");
  expect(await read("target")).toBe("1");
  await write(file("sub-link/link"), "2");
  expect(await read("target")).toBe("2");
  await write(file("dangling"), "3");
  expect(await read("later")).toBe("3");
  for (const name of ["first", "sub/link", "dangling"]) expect((await lstat(file(name))).isSymbolicLink()).toBe(true);
});

test("takes every name that the disk takes", async () => {
  for (const name of ["n".repeat(255), "é".repeat(127)]) {
    await write(file(name), "x");
    expect(await read(name)).toBe("x");
  }
});

test("says before the work why a name cannot be written", async () => {
  await writeFile(file("plain"), "");
  await symlink("circle", file("circle"));
  for (const [path, message] of [
    ["", /no file's name/],
    ["a\0b", /no file's name/],
    [folder, /is a folder/],
    [".", /is a folder/],
    [`${file("new")}/`, /is a folder/],
    [file("none/p.png"), /there is no folder .*none"; make it first/],
    [file("plain/p.png"), /a part of the path is a file/],
    [file("circle"), /links lead in a circle/],
    [file("n".repeat(256)), /the name is too long/],
  ] as const) {
    await expect(openOutput(path), path).rejects.toMatchObject({
      code: "output_refused",
      message: expect.stringMatching(message),
    });
  }
  expect((await readdir(folder)).sort()).toEqual(["circle", "plain"]);
});

test.runIf(process.getuid?.() !== 0)("respects permissions of file and folder", async () => {
  await mkdir(file("locked"));
  await writeFile(file("read-only"), "mine");
  await chmod(file("read-only"), 0o444);
  await chmod(file("locked"), 0o555);
  await expect(openOutput(file("read-only"))).rejects.toThrow(/no permission/);
  await expect(openOutput(file("locked/new"))).rejects.toThrow(/no permission/);
  await chmod(file("locked"), 0o755);
});

test("never replaces an input, whatever the two are called", async () => {
  await writeFile(file("a.png"), "mine");
  await symlink("a.png", file("soft.png"));
  await link(file("a.png"), file("hard.png"));
  await symlink(".", file("here"));
  const names = ["a.png", "soft.png", "hard.png", "here/a.png", "here/here/soft.png"].map(file);
  const inputs = [
    ...names,
    pathToFileURL(file("a.png")),
    String(pathToFileURL(file("a.png"))).replace("file:", "FILE:"),
  ];
  for (const output of names) {
    for (const input of inputs) {
      await expect(
        write(output, "lost", { inputs: ["http://x/y", input] }),
        `${output} ${input}`,
      ).rejects.toMatchObject({
        code: "output_refused",
        message: expect.stringMatching(/the same file as/),
      });
    }
    const opened = await openOutput(output);
    await expect(opened.refuseToReplace([file("a.png")])).rejects.toThrow(/the same file as/);
  }
  await write(file("b.png"), "other", { inputs: [...inputs, file("nowhere"), "data:,x", "file://[bad"] });
  expect(await read("a.png")).toBe("mine");
});

test("writes into a pipe, which stays one, and says so when nobody reads", async () => {
  execFileSync("mkfifo", [file("pipe")]);
  const reading = createReadStream(file("pipe")).toArray();
  await write(file("pipe"), "x".repeat(200_000));
  expect(Buffer.concat(await reading)).toHaveLength(200_000);
  expect((await stat(file("pipe"))).isFIFO()).toBe(true);
  const signal = AbortSignal.timeout(100);
  await expect(openOutput(file("pipe"), { signal })).rejects.toMatchObject({ name: "TimeoutError" });
});

test.runIf(process.platform === "linux")("writes into devices, and tells of a full disk as such", async () => {
  await symlink("/dev/null", file("null.png"));
  const output = await openOutput(file("null.png"));
  expect(output.isFile).toBe(false);
  await output.write((handle) => writeAll(handle, Buffer.from("gone")));
  expect((await stat("/dev/null")).isCharacterDevice()).toBe(true);
  await expect(write("/dev/full", "x")).rejects.toMatchObject({
    code: "output_failed",
    message: '"/dev/full" could not be written: the disk is full',
  });
});
