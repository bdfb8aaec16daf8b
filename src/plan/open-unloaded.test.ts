// A model of the Hub is described and planned from its configs and its list of files; nothing else is fetched.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { repo, useHub } from "../../test/hub-repository.ts";
import { HubServer } from "../../test/hub-server.ts";
import { listSnapshot } from "../hub/cache.ts";
import { inspectModel } from "./inspect.ts";
import { openUnloaded } from "./open-unloaded.ts";
import { planModel } from "./plan.ts";

const hub = useHub();
const nano = "models/kelix-nano";
const weights = ["model.safetensors", "dit/model.safetensors", "vae/diffusion_pytorch_model.safetensors"];
const configs = [
  "config.json",
  "generation_config.json",
  "preprocessor_config.json",
  "dit/config.json",
  "vae/config.json",
];

let server: HubServer;
beforeEach(async () => {
  const files = [...weights, ...configs, "tokenizer.json", "tokenizer_config.json"].map(
    async (path) => [path, await readFile(join(nano, path))] as const,
  );
  server = await HubServer.start({ repo, files: Object.fromEntries(await Promise.all(files)) });
  vi.stubEnv("HF_ENDPOINT", server.endpoint);
  vi.stubEnv("HF_HUB_CACHE", hub.cacheFolder);
  vi.stubEnv("HF_HUB_OFFLINE", "");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.stop();
});

test("fetches the configs alone and knows what is missing", async () => {
  const { model, missingBytes, faults } = await openUnloaded(repo);
  await model.close();
  const sizes = await Promise.all(weights.map(async (path) => (await readFile(join(nano, path))).length));
  expect([...missingBytes.values()].sort()).toEqual(sizes.sort());
  expect((await listSnapshot(model.path)).map(({ path }) => path).sort()).toEqual(
    [...configs, "tokenizer_config.json"].sort(),
  );
  expect(faults.length).toBeGreaterThan(0);
});

test("is described and planned as the model itself is", async () => {
  const [remote, local] = [await inspectModel(repo), await inspectModel(nano)];
  expect(remote.memory).toEqual(local.memory);
  expect(remote.missingBytes).toBe(local.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
  const machine = {
    cores: 2,
    memory: { totalBytes: 8e9, availableBytes: 8e9 },
    speeds: { flopPerS: 1e11, readBytesPerS: 1e10, quantizedBytesPerS: 1e10, quantizedFlopPerS: 1e11 },
  };
  const plans = [await planModel(repo, machine), await planModel(nano, machine)];
  expect(plans[0]!.answer).toEqual(plans[1]!.answer);
  expect(plans[0]!.image).toEqual(plans[1]!.image);
  expect(plans[0]!.disk.missingBytes).toBe(remote.missingBytes);
});
