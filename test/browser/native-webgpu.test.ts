// WebGPU in Node, on the software adapter that Chromium brings along (SwiftShader): onnxruntime-node has WebGPU for Linux on x64.

import { execFile } from "node:child_process";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Kelix } from "../../src/index.ts";
import { convertModel } from "../../src/quantize/convert.ts";
import { runJob } from "./page/job.js";

const script = fileURLToPath(new URL("native-webgpu.ts", import.meta.url));
const minutes = 60_000;

/** What the script says, with the Vulkan driver of a manifest. */
async function run(manifest: string, ...args: string[]) {
  const env = { ...process.env, VK_ICD_FILENAMES: manifest, LD_LIBRARY_PATH: dirname(manifest) };
  const command = ["--import", "tsx", "--conditions=kelix-source", script, ...args];
  return promisify(execFile)(process.execPath, command, { env, maxBuffer: 2 ** 28, timeout: 20 * minutes });
}

describe.runIf(process.platform === "linux" && process.arch === "x64")("WebGPU in Node", () => {
  let swiftShader: string;
  let folder: string;
  beforeAll(async () => {
    const folders = [process.env.CHROMIUM && dirname(process.env.CHROMIUM), "/usr/lib/chromium", "/opt/google/chrome"];
    const manifests = folders.flatMap((path) => (path ? [join(path, "vk_swiftshader_icd.json")] : []));
    const found = await Promise.all(
      manifests.map((path) =>
        access(path).then(
          () => path,
          () => undefined,
        ),
      ),
    );
    swiftShader = found.find((path) => path !== undefined) ?? "";
    if (!swiftShader)
      throw new Error("There is no SwiftShader here: install Chromium, or name its program in CHROMIUM");
    folder = await mkdtemp(join(tmpdir(), "kelix-webgpu-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test.each(["bf16", "int4"] as const)(
    "no node of any network of a model in %s falls to the processor",
    async (weights) => {
      const model = join(folder, weights);
      if (weights === "int4") await convertModel("kelix-nano", model, { weights });
      const { stderr } = await run(swiftShader, "place", weights === "int4" ? model : "kelix-nano");
      const places = Array.from(
        stderr.matchAll(/(\w+) nodes? placed on \[(\w+)\]/gi),
        ([, share, place]) => `${share} on ${place}`,
      );
      expect(new Set(places)).toEqual(new Set(["All on WebGpuExecutionProvider"]));
      // A trial, the encoder, three graphs of the language model and its likelihood, five that draw. What embeds codes may be a table alone.
      expect(places.length).toBeGreaterThanOrEqual(11);
    },
    20 * minutes,
  );

  test(
    "codes and text equal the processor's, pixels within two levels",
    async () => {
      const job = { model: "kelix-nano", image: "data/heldout/demo/octopus.png", question: "What is this?" };
      const expected = await runJob(Kelix, { ...job, prompt: "a red circle", steps: 1 });
      const found = JSON.parse((await run(swiftShader, "run")).stdout) as typeof expected;
      expect(new Set(found.devices.map(({ device }) => device))).toEqual(new Set(["webgpu"]));
      expect([found.codes, found.text]).toEqual([expected.codes, expected.text]);
      expect(found.drawn.map(({ codes }) => codes)).toEqual(expected.drawn.map(({ codes }) => codes));
      const pairs = [...expected.drawn, expected.again].map(
        (one, i) => [one, [...found.drawn, found.again][i]!] as const,
      );
      for (const [one, other] of pairs)
        expect(Math.max(...one.data.map((level, i) => Math.abs(level - other.data[i]!)))).toBeLessThanOrEqual(2);
    },
    20 * minutes,
  );

  test(
    "without a driver it is refused in a sentence, before anything is computed",
    async () => {
      const { stdout } = await run("/nowhere/icd.json", "run");
      expect(JSON.parse(stdout)).toEqual({
        code: "device_unavailable",
        message: expect.stringMatching(
          /^The device webgpu does not work here: it needs a GPU with a current driver.*available: cpu, wasm$/,
        ),
      });
    },
    5 * minutes,
  );
});
