// The command line as a user meets it: the built program on the model that ships.

import { spawn } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodePng } from "../src/image/codec.node.ts";
import { readSafetensors, writeSafetensors } from "../src/quantize/safetensors-file.ts";
import { hostTensor } from "../src/runtime/host-tensor.ts";
import { program, runCli } from "./run-cli.ts";
import { writeTinyModel } from "./tiny-model.ts";

const nano = fileURLToPath(new URL("../models/kelix-nano", import.meta.url));
const image = fileURLToPath(new URL("../data/heldout/demo/octopus.png", import.meta.url));

const kelix = (...args: string[]) => runCli(args, { env: { HF_HUB_OFFLINE: "1", HF_HOME: folder } });

let folder: string;
/** For drawing, where what is drawn does not matter. */
let tiny: string;
const file = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kelix-cli-"));
  tiny = await writeTinyModel(file("tiny"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Status 1 with one line on stderr that matches, and nothing written under the output's name. */
async function expectFailure(args: string[], message: RegExp): Promise<void> {
  const { status, out, err } = await kelix(...args);
  expect(err).toMatch(message);
  expect(err.trim().split("\n")).toHaveLength(1);
  expect(status).toBe(1);
  expect(out).toBe("");
}

describe("kelix", () => {
  test("shows its commands, and examples for each", async () => {
    const help = await kelix("--help");
    expect(help.status).toBe(0);
    for (const name of [
      "demo",
      "describe",
      "chat",
      "imagine",
      "tokenize",
      "reconstruct",
      "train",
      "eval",
      "pull",
      "info",
      "plan",
    ]) {
      expect(help.out).toContain(name);
      expect((await kelix(name, "--help")).out).toContain("Example");
    }
  });

  test.each([
    [["describe"], /missing required argument/],
    [["imagine", "a circle"], /--output/],
    [["nonsense"], /unknown command/],
    [["describ"], /unknown command 'describ' \(Did you mean describe\?\) \(try kelix --help\)/],
    [
      ["imagine", "x", "-o", "x.png", "--stpes", "3"],
      /'--stpes' \(Did you mean --steps\?\) \(try kelix imagine --help\)/,
    ],
    [["imagine", "x", "-o", "x.png", "--steps", "0"], /integer from 1 to 1000, got 0/],
    [["describe", "x.png", "--device", "abacus"], /cpu, webgpu, cuda, wasm/],
    [["eval", "nothing"], /Expected suites among reconstruction, naming/],
    [["eval", "nano", "naming"], /nano is a table of its own/],
    [["chat", "--json"], /chat has no --json/],
    [["pull", "a/b", "--device", "cpu"], /pull has no --device \(try kelix pull --help\)/],
    [["info", "--threads", "2"], /info has no --threads/],
    [["pull", "a/b@c", "--revision", "d"], /Two revisions are given: a\/b@c, and --revision d/],
  ])("ends with status 2 when used wrongly: %j", async (args, message) => {
    const { status, err } = await kelix(...args);
    expect(err).toMatch(message);
    expect(status).toBe(2);
  });

  test("repeats no name at length", async () => {
    const long = "x".repeat(3000);
    const calls = [
      ["describe", long],
      ["describe", "a.png", "--model", long],
      ["describe", "a.png", `--${long}`],
      ["describe", "a.png", "--max-new-tokens", long],
      ["reconstruct", image, "-o", `${long}.png`],
      ["pull", "a/b", "--revision", long],
      ["train", "tokenizer", "--config", long],
      ["eval", long],
      [long],
    ];
    for (const { status, err } of await Promise.all(calls.map((args) => kelix(...args)))) {
      expect(status).toBeGreaterThan(0);
      expect(err.length).toBeLessThan(400);
      expect(err.trim().split("\n")).toHaveLength(1);
    }
  });

  test("describes an image, in text and as JSON", async () => {
    const plain = await kelix("describe", image);
    expect(plain).toMatchObject({ status: 0, err: "" });
    expect(plain.out.trim().length).toBeGreaterThan(2);
    const json = await kelix("describe", image, "--json");
    expect(JSON.parse(json.out)).toEqual([{ image: image, text: plain.out.trim() }]);
  });

  test("tokenizes to a file of codes and draws an image back, the same for the same seed", async () => {
    expect((await kelix("tokenize", image, "-o", file("codes.safetensors"), "--model", tiny)).status).toBe(0);
    const codes = (await readSafetensors(file("codes.safetensors"))).get("codes")!;
    expect([codes.dtype, codes.shape]).toEqual(["u16", [36, 8]]);
    const options = ["--seed", "4", "--steps", "2", "--model", tiny];
    const draw = async (name: string) => {
      const { status } = await kelix("reconstruct", file("codes.safetensors"), "-o", file(name), ...options);
      expect(status).toBe(0);
      return readFile(file(name));
    };
    expect(await draw("a.png")).toEqual(await draw("b.png"));
    const straight = await kelix("reconstruct", image, "-o", file("c.png"), ...options, "--json");
    expect(JSON.parse(straight.out)).toEqual([{ file: file("c.png"), width: 96, height: 96 }]);
    expect(await readFile(file("c.png"))).toEqual(await readFile(file("a.png")));
  });

  test("keeps several images in one file of codes and draws each", async () => {
    const { status } = await kelix("tokenize", image, image, "-o", file("two.safetensors"), "--model", tiny);
    expect(status).toBe(0);
    expect([...(await readSafetensors(file("two.safetensors"))).keys()]).toEqual(["codes.0", "codes.1"]);
    const { out } = await kelix(
      "reconstruct",
      file("two.safetensors"),
      "-o",
      file("two.png"),
      "--model",
      tiny,
      "--steps",
      "1",
      "--json",
    );
    expect(JSON.parse(out).map((drawn: { file: string }) => drawn.file)).toEqual([file("two.png"), file("two-2.png")]);
  });

  test("ends with status 130 at Ctrl-C and leaves no part of a file", async () => {
    const child = spawn(process.execPath, [
      program,
      "imagine",
      "x",
      "-o",
      file("never.png"),
      "--steps",
      "10",
      "--threads",
      "1",
      "--n",
      "1000",
    ]);
    let err = "";
    child.stderr.on("data", (text) => {
      err += text;
    });
    const ended = new Promise((resolve) => child.on("close", resolve));
    // Its first image shows that it is at work.
    const isAtWork = async () => (await readdir(folder)).some((name) => name.startsWith("never"));
    while (child.exitCode === null && !(await isAtWork())) await setTimeout(50);
    child.kill("SIGINT");
    expect(await ended).toBe(130);
    expect(err).toBe("kelix: interrupted\n");
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    for (const name of await readdir(folder)) if (name.startsWith("never")) await rm(file(name));
  }, 30_000);

  test("talks about an image line by line", async () => {
    const { status, out } = await runCli(["chat", image], { input: "What is this?\n/quit\n" });
    expect(status).toBe(0);
    expect(out.trim()).not.toBe("");
  });

  test("measures a model: one JSON value, and a page", async () => {
    const cache = { KELIX_CACHE: file("no-cache"), HF_HUB_OFFLINE: "1" };
    const args = ["eval", "naming", "glyph-grid", "--limit", "2", "--json", "--report", file("report.html")];
    const { status, out, err } = await runCli(args, { env: cache });
    expect(status).toBe(0);
    const { naming, "glyph-grid": grid } = JSON.parse(out);
    expect(Object.keys(naming.accuracy)).toEqual(["value", "low", "high", "n", "floors"]);
    expect(naming.accuracy.n).toBe(2);
    expect(Object.keys(grid)).toEqual(["level1", "level2", "level3", "level4"]);
    expect(err).toContain("kelix data");
    expect(await readFile(file("report.html"), "utf8")).toContain("data:image/png;base64,");
  });

  test("draws a file of prompts into folders", async () => {
    await writeFile(
      file("prompts.jsonl"),
      '{"prompt": "a red circle", "tag": "colors"}\n{"prompt": "two blue stars"}\n',
    );
    const args = ["imagine", "--prompts", file("prompts.jsonl"), "-o", file("drawn"), "--steps", "1", "--json"];
    const { status, out } = await kelix(...args, "--model", tiny);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toHaveLength(2);
    expect((await readdir(join(file("drawn"), "00001", "samples"))).sort()).toEqual(["00000.png"]);
    expect(await readFile(join(file("drawn"), "00000", "metadata.jsonl"), "utf8")).toContain('"tag": "colors"');
  });

  test("imagines the same image for the same seed", async () => {
    for (const name of ["x.png", "y.png"]) {
      const options = ["--seed", "2", "--steps", "2", "--model", tiny];
      expect((await kelix("imagine", "a red circle", "-o", file(name), ...options)).status).toBe(0);
    }
    expect(await readFile(file("x.png"))).toEqual(await readFile(file("y.png")));
  });

  test("says in one line what is wrong with an image", async () => {
    const whole = await readFile(image);
    await writeFile(file("cut.png"), whole.subarray(0, 300));
    await writeFile(file("text.png"), "hello");
    const strip = { width: 10_000, height: 1, channels: 3, background: "white" } as const;
    await sharp({ create: strip }).png().toFile(file("strip.png"));
    await expectFailure(["describe", file("nowhere.png")], /nowhere\.png: cannot be read: there is no such file/);
    await expectFailure(["describe", file("text.png")], /text\.png/);
    await expectFailure(["tokenize", file("cut.png"), "-o", file("never.safetensors")], /cut\.png/);
    await expectFailure(["reconstruct", file("strip.png"), "-o", file("never.png")], /10000 x 1/);
    expect((await readdir(folder)).filter((name) => name.includes("never"))).toEqual([]);
  });

  test("reads an image of one pixel", async () => {
    await writeFile(file("dot.png"), await encodePng({ width: 1, height: 1, data: Uint8Array.of(200, 30, 30) }));
    expect((await kelix("describe", file("dot.png"))).status).toBe(0);
  });

  test("rejects codes outside their books, and files that hold none", async () => {
    const codes = hostTensor("u16", new Uint16Array(36 * 8).fill(60_000), [36, 8]);
    await writeSafetensors(file("bad.safetensors"), [["codes", codes]], { grid: "[6,6]" });
    await expectFailure(
      ["reconstruct", file("bad.safetensors"), "-o", file("never.png")],
      /codes from 0 to 255, got 60000/,
    );
    await writeSafetensors(file("grid.safetensors"), [["codes", codes]], { grid: "[5,6]" });
    await expectFailure(["reconstruct", file("grid.safetensors"), "-o", file("never.png")], /36 positions.*5 x 6/);
    const few = hostTensor("i32", new Int32Array(36 * 3), [36, 3]);
    await writeSafetensors(file("few.safetensors"), [["codes", few]], { grid: "[6,6]" });
    await expectFailure(
      ["reconstruct", file("few.safetensors"), "-o", file("never.png")],
      /6 x 6 positions of 8 codes/,
    );
    await writeSafetensors(file("other.safetensors"), [["weight", codes]], {});
    await expectFailure(["reconstruct", file("other.safetensors"), "-o", file("never.png")], /has no tensor `codes`/);
    await writeFile(file("hostile.safetensors"), Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 123, 125));
    await expectFailure(["reconstruct", file("hostile.safetensors"), "-o", file("never.png")], /hostile\.safetensors/);
  });

  test("describes a model without loading it, and says what is missing of one that is not whole", async () => {
    const whole = await kelix("info");
    expect(whole.status).toBe(0);
    expect(whole.out).toMatch(/^language model +\d+\.\d+ M, width 256, 6 layers, \d+\.\d MB bf16$/m);
    expect(whole.out).toMatch(/^memory +about \d+\.\d MB to answer, \d+\.\d MB to draw$/m);
    expect(whole.out).not.toContain("does not load");
    const broken = file("broken-model");
    await cp(nano, broken, { recursive: true });
    await rm(join(broken, "vae", "diffusion_pytorch_model.safetensors"));
    await writeFile(join(broken, "dit", "model.safetensors"), "cut");
    const { status, out } = await kelix("info", broken, "--json");
    expect(status).toBe(0);
    const { parts, faults, memory } = JSON.parse(out);
    expect(parts.map(({ part }: { part: string }) => part)).toEqual([
      "vision",
      "languageModel",
      "diffusionTransformer",
      "autoencoder",
    ]);
    expect(memory.imageBytes).toBeGreaterThan(100e6);
    expect(faults.join("\n")).toMatch(/model\.safetensors: the file has 3 bytes/);
    expect(faults.join("\n")).toMatch(/vae: holds no \*\.safetensors file/);
    await expectFailure(["describe", image, "--model", broken], /model\.safetensors: the file has 3 bytes/);
  });

  test("spells out what would steer a terminal in a name from a file, and plans such a model before it is loaded", async () => {
    const hostile = file("hostile-model");
    await cp(nano, hostile, { recursive: true });
    const name = "a\u001b[31mRED\u0007\n\nkelix: all is fine";
    await writeSafetensors(join(hostile, "second.safetensors"), [[name, hostTensor("u8", Uint8Array.of(1), [1])]]);
    const info = await kelix("info", hostile);
    expect(info.out).toContain("a\\u001b[31mRED\\u0007\\u000a\\u000akelix: all is fine");
    const plan = await kelix("plan", hostile); // which measures the machine: that takes seconds
    expect([plan.status, plan.err]).toEqual([0, ""]);
    for (const line of [
      /^does not load +.*1 unknown: a\\u001b/m,
      /^machine +\d+ cores, \d+ GFLOP\/s, with 4-bit weights \d+ GFLOP\/s; reads \d[\d.]* [MG]B\/s, 4-bit weights \d[\d.]* [MG]B\/s$/m,
      /^disk +\d[\d.]* MB of weights, 0 B of them missing; \d[\d.]* [MGT]B free$/m,
      /^an answer about an image +about \d[\d.]* MB of memory; about \d/m,
      /^ {2}decode +\d[\d.]* s$/m,
      /^with int4 weights +\d[\d.]* MB of memory, \d[\d.]* MB to draw: kelix convert /m,
    ])
      expect(plan.out).toMatch(line);
    const { err } = await kelix("describe", image, "--model", hostile);
    expect([info.out, plan.out, err].join("").replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  });

  test("names the way out when there is no such model", async () => {
    await expectFailure(["info", "some/model"], /some\/model: there is no such folder here, .* kelix pull some\/model/);
    await expectFailure(["train", "tokenizer", "--config", file("none.json")], /none\.json: cannot be read/);
  });
});
