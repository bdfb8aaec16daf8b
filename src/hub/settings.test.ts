import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readHubSettings } from "./settings.ts";

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "kelix-home-"));
  await writeFile(join(home, "token"), "hf_of_the_file\n");
});
afterAll(() => rm(home, { recursive: true }));

test.each([
  [{}, join(homedir(), ".cache/huggingface/hub")],
  [{ XDG_CACHE_HOME: "/x" }, "/x/huggingface/hub"],
  [{ HF_HOME: "/h", XDG_CACHE_HOME: "/x" }, "/h/hub"],
  [{ HF_HOME: "~/h" }, join(homedir(), "h/hub")],
  [{ HF_HUB_CACHE: "/c", HF_HOME: "/h" }, "/c"],
  [{ HUGGINGFACE_HUB_CACHE: "/old" }, "/old"],
])("with %j the cache is where the Python library has it", async (env, folder) => {
  expect((await readHubSettings(env)).cacheFolder).toBe(folder);
});

test("the token comes from the environment, else from the file of the home folder, else there is none", async () => {
  expect((await readHubSettings({ HF_TOKEN: "hf_env", HF_HOME: home })).token).toBe("hf_env");
  expect((await readHubSettings({ HF_HOME: home })).token).toBe("hf_of_the_file");
  expect((await readHubSettings({ HF_TOKEN_PATH: join(home, "token"), HF_HOME: "/nowhere" })).token).toBe(
    "hf_of_the_file",
  );
  expect((await readHubSettings({ HF_HOME: "/nowhere" })).token).toBeUndefined();
});

test("the endpoint is an address", async () => {
  expect((await readHubSettings({})).endpoint).toBe("https://huggingface.co");
  expect((await readHubSettings({ HF_ENDPOINT: "http://mirror.example/hf/" })).endpoint).toBe(
    "http://mirror.example/hf",
  );
  for (const HF_ENDPOINT of ["mirror.example", "file:///etc"])
    await expect(readHubSettings({ HF_ENDPOINT })).rejects.toThrow(`got "${HF_ENDPOINT}"`);
});

test("offline is what Python takes for true", async () => {
  for (const HF_HUB_OFFLINE of ["1", "ON", "yes", "True"])
    expect((await readHubSettings({ HF_HUB_OFFLINE })).isOffline).toBe(true);
  for (const HF_HUB_OFFLINE of ["0", "", "no"])
    expect((await readHubSettings({ HF_HUB_OFFLINE })).isOffline).toBe(false);
});
