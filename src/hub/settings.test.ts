import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { readHubSettings } from "./settings.ts";

const system = vi.hoisted(() => ({ homes: undefined as readonly (string | undefined)[] | undefined }));
vi.mock("node:os", async (importActual) => {
  const actual = await importActual<typeof import("node:os")>();
  const home = (i: number, usual: string) => {
    const path = system.homes ? system.homes[i] : usual;
    // As the system's own words are for a user without an entry.
    if (path === undefined) throw new Error("A system error occurred: uv_os_homedir returned ENOENT");
    return path;
  };
  return {
    ...actual,
    homedir: () => home(0, actual.homedir()),
    userInfo: () => ({ ...actual.userInfo(), homedir: home(1, actual.userInfo().homedir) }),
  };
});

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

test("an empty variable is as good as none", async () => {
  const names = [
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "XDG_CACHE_HOME",
    "HF_ENDPOINT",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
  ];
  for (const empty of ["", " "]) {
    const env = Object.fromEntries([...names, "HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN"].map((name) => [name, empty]));
    expect(await readHubSettings(env)).toEqual(await readHubSettings({}));
  }
  expect((await readHubSettings({ HF_TOKEN: "", HUGGING_FACE_HUB_TOKEN: " old\n" })).token).toBe("old");
  expect((await readHubSettings({ HF_HUB_OFFLINE: "", TRANSFORMERS_OFFLINE: "1" })).isOffline).toBe(true);
});

test("an endpoint keeps its user name to itself, and has no query", async () => {
  const { endpoint } = await readHubSettings({ HF_ENDPOINT: " https://user:pass@mirror.example/hf/?key=1 " });
  expect(endpoint).toBe("https://user:pass@mirror.example/hf");
  await expect(readHubSettings({ HF_ENDPOINT: "ftp://user:SECRET@mirror?SECRET" })).rejects.toThrow(
    /got "ftp:\/\/mirror"$/,
  );
});

test("a user without a home folder is told what to set, and needs none with it", async () => {
  try {
    for (const homes of [
      [undefined, undefined],
      ["", ""],
      ["relative", undefined],
    ] as const) {
      system.homes = homes;
      const told = /^There is no home folder for the cache of models: set HF_HOME to a folder$/;
      await expect(readHubSettings({})).rejects.toThrow(told);
      await expect(readHubSettings({ HF_HOME: "~/h" })).rejects.toThrow(told);
      expect((await readHubSettings({ HF_HOME: home })).token).toBe("hf_of_the_file");
      expect((await readHubSettings({ HF_HUB_CACHE: "/c" })).cacheFolder).toBe("/c");
    }
    system.homes = ["", "/home/of/the/system"];
    expect((await readHubSettings({})).cacheFolder).toBe("/home/of/the/system/.cache/huggingface/hub");
  } finally {
    system.homes = undefined;
  }
});
