// The user's files: what commands read and write, and what they never touch.

import { link, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findFormat } from "../src/image/image-format.ts";
import { type OwnProcess, runCli, spawnCli } from "./run-cli.ts";
import { writeTinyModel } from "./tiny-model.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const image = join(root, "data/heldout/demo/octopus.png");
let folder: string;
/** For drawing, where what is drawn does not matter. */
let tiny: string;
const file = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "kelix-files-")));
  tiny = await writeTinyModel(join(folder, "tiny"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const kelix = (args: readonly string[], options: OwnProcess = {}) =>
  (options.shell === undefined ? runCli : spawnCli)(args, { cwd: folder, ...options });

/** One line on stderr that matches, nothing on stdout. */
async function expectRefusal(args: readonly string[], status: number, message: RegExp, options?: OwnProcess) {
  const result = await kelix(args, options);
  expect(result.err, args.join(" ")).toMatch(message);
  expect(result.err.trim().split("\n")).toHaveLength(1);
  expect([result.status, result.out], args.join(" ")).toEqual([status, ""]);
}

describe("output", () => {
  test("never replaces an input, whatever the two are called, in any command", async () => {
    const mine = await readFile(image);
    await writeFile(file("a.png"), mine);
    await writeFile(file("codes.json"), "{}");
    await symlink("a.png", file("soft.safetensors"));
    await symlink("a.png", file("soft.png"));
    await link(file("a.png"), file("hard.safetensors"));
    await symlink(".", file("here"));
    await mkdir(file("demo"));
    await symlink(image, file("demo/imagined-03.png"));
    await mkdir(file("model"));
    for (const name of await readdir(join(root, "models/kelix-nano")))
      await symlink(join(root, "models/kelix-nano", name), file(`model/${name}`));
    const [absolute, url] = [file("a.png"), String(pathToFileURL(file("a.png")))];
    const same = /the same file as/;
    await Promise.all([
      expectRefusal(["tokenize", "a.png", image, "-o", "soft.safetensors"], 2, same),
      expectRefusal(["tokenize", url, "-o", "here/hard.safetensors"], 2, same),
      expectRefusal(["tokenize", "-", "-o", "hard.safetensors"], 2, same, { shell: '"$@" < a.png' }),
      expectRefusal(["tokenize", "a.png", "-o", "-"], 2, same, { shell: '"$@" >> soft.png' }),
    ]);
    await Promise.all([
      expectRefusal(["reconstruct", absolute, "-o", "a.png"], 2, same),
      expectRefusal(["reconstruct", url, "-o", "here/soft.png"], 2, same),
      expectRefusal(["demo", "-o", "demo"], 2, same),
      expectRefusal(["tokenize", image, "-o", "model/config.json", "--model", "model"], 2, same),
    ]);
    expect((await readFile(file("a.png"))).equals(mine)).toBe(true);
  });

  test("has the format that its suffix names, or is rejected before the work", async () => {
    for (const [name, format] of [
      ["x.jpg", "jpeg"],
      ["x.webp", "webp"],
    ] as const) {
      await kelix(["imagine", "a circle", "-o", name, "--steps", "1", "--model", tiny]);
      expect(findFormat(await readFile(file(name)))).toBe(format);
    }
    await Promise.all([
      expectRefusal(["imagine", "x", "-o", "x.gif"], 2, /expected \.png, \.jpg, \.jpeg or \.webp/),
      expectRefusal(["reconstruct", image, "-o", "x"], 2, /expected \.png/),
      expectRefusal(["tokenize", image, "-o", "x.png"], 2, /expected \.safetensors or \.json/),
    ]);
  });

  test("goes to standard output, a single image at a time, and not beside --json", async () => {
    const drawn = await kelix(["imagine", "a circle", "-o", "-", "--steps", "1"]);
    expect([drawn.status, drawn.err, findFormat(drawn.bytes)]).toEqual([0, "", "png"]);
    await Promise.all([
      expectRefusal(["imagine", "x", "-o", "-", "--n", "3"], 2, /"-" takes one image, there are 3/),
      expectRefusal(["imagine", "x", "-o", "-", "--json"], 2, /--json and "-" both write to standard output/),
      expectRefusal(["imagine", "x", "-o", "/dev/null", "--n", "2"], 2, /takes one image/),
    ]);
    expect((await readdir(folder)).filter((name) => /^-|-1/.test(name))).toEqual([]);
  });

  test("leaves nothing behind: no temporary file, no numbered pipe", async () => {
    expect((await readdir(folder)).filter((name) => name.startsWith(".") || name.endsWith(".tmp"))).toEqual([]);
  });
});

describe("input", () => {
  test("comes from pipes: images, codes and prompts", async () => {
    const bytes = await readFile(image);
    const [plain, piped, named, substituted] = await Promise.all([
      kelix(["describe", image]),
      kelix(["describe", "-"], { input: bytes }),
      kelix(["describe", "/dev/stdin", "--threads", "1"], { shell: `cat "${image}" | "$@"` }),
      kelix([], { shell: `"$@" describe --threads 1 <(cat "${image}")` }),
    ]);
    for (const result of [piped, named, substituted])
      expect(result).toMatchObject({ status: 0, err: "", out: plain.out });
    await kelix(["reconstruct", image, "-o", "plain.png", "--steps", "1"]);
    for (const form of ["-", "/dev/fd/1"]) {
      const codes = await kelix(["tokenize", "-", "-o", form], { input: bytes });
      expect([codes.status, codes.err]).toEqual([0, ""]);
      const back = await kelix(["reconstruct", "-", "-o", "-", "--steps", "1"], { input: codes.bytes });
      expect(back.bytes.equals(await readFile(file("plain.png")))).toBe(true);
    }
    const prompted = await kelix(["describe", image, "--prompt", "-"], { input: "What is this?\n" });
    expect(prompted.out).toBe(plain.out);
    await expectRefusal(["describe", "-", "--prompt", "-"], 2, /can be used only once/, { input: bytes });
  });

  test("may be codes as JSON, as the library's JSON too", async () => {
    await kelix(["tokenize", image, image, "-o", "two.json", "--model", tiny]);
    const { images } = JSON.parse(await readFile(file("two.json"), "utf8"));
    expect(images.map(({ image, grid, codes }: (typeof images)[0]) => [image, grid, codes.length])).toEqual(
      Array(2).fill(["octopus.png", [6, 6], 288]),
    );
    const { grid, codes } = images[0];
    await writeFile(file("one.json"), JSON.stringify({ grid, codes }));
    const drawn = await kelix(["reconstruct", "one.json", "-o", "one.png", "--steps", "1", "--json", "--model", tiny]);
    expect(JSON.parse(drawn.out)).toEqual([{ file: "one.png", width: 96, height: 96 }]);
    await writeFile(file("bad.json"), JSON.stringify({ grid: [6, 7], codes }));
    await expectRefusal(["reconstruct", "bad.json", "-o", "bad.png"], 1, /288 codes, which do not fill 42 positions/);
  });

  test("that is bad does not keep the others from being done", async () => {
    await writeFile(file("bad.png"), "no image");
    const given = [image, "bad.png", "nowhere.png", image];
    const [described, asJson, tokenized] = await Promise.all([
      kelix(["describe", ...given]),
      kelix(["describe", ...given, "--json"]),
      kelix(["tokenize", ...given, "-o", "rest.json", "--json"]),
    ]);
    expect(described.out.trim().split("\n")).toHaveLength(2);
    for (const { status, err } of [described, asJson, tokenized]) {
      expect(err.trim().split("\n")).toEqual([
        expect.stringContaining("bad.png"),
        expect.stringContaining("nowhere.png"),
      ]);
      expect(status).toBe(1);
    }
    const failed = { code: "invalid_image", message: expect.any(String) };
    expect(JSON.parse(asJson.out)).toMatchObject([
      { image: image, text: expect.any(String) },
      { image: "bad.png", error: failed },
      { image: "nowhere.png", error: failed },
      { image: image, text: expect.any(String) },
    ]);
    const { file: written, images } = JSON.parse(tokenized.out);
    expect([written, images.filter((entry: object) => "error" in entry)]).toMatchObject(["rest.json", { length: 2 }]);
    expect(JSON.parse(await readFile(file("rest.json"), "utf8")).images).toHaveLength(2);
  });
});

describe("a conversation", () => {
  test("from a pipe answers every line, quoted names included, and tells at its end that one failed", async () => {
    await writeFile(file("my cat's.png"), await readFile(image));
    const input =
      "/image \"my cat's.png\"\nWhat is this?\n/new\n/image nowhere.png\nAnd this?\n/image my\\ cat\\'s.png\nWhat is this?";
    const { status, out, err } = await kelix(["chat"], { input });
    const answers = out.trim().split("\n");
    expect(answers).toHaveLength(2);
    expect(answers[0]).toBe(answers[1]);
    expect(err).toMatch(/^kelix: nowhere\.png: cannot be read: there is no such file or folder\n$/);
    expect(status).toBe(1);
  });
});

describe.runIf(process.platform === "linux")("results that cannot be printed", () => {
  test.each([
    [
      "info to a full disk",
      ["info"],
      '"$@" > /dev/full',
      1,
      /^kelix: the results cannot be printed: the disk is full\n$/,
    ],
    ["help to a full disk", ["--help"], '"$@" > /dev/full', 1, /the disk is full/],
    ["a usage error to a full disk", ["nonsense"], '"$@" 2> /dev/full', 2, /^$/],
    ["a failure without stderr", ["info", "--model", "/nowhere"], '"$@" 2>&-', 1, /^$/],
    ["info whose reader is gone", ["info"], 'set -o pipefail; "$@" | true', 0, /^$/],
  ] as const)("%s", async (_, args, shell, status, err) => {
    const result = await kelix(args, { shell });
    expect(result.err).toMatch(err);
    expect(result.status).toBe(status);
  });
});
