// Pixels to pixels with a small random model: what each path returns, that seeds decide, and what is rejected.

import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  type Chat,
  type ChatMessage,
  type ChatOptions,
  type CodesInput,
  type DrawnImage,
  type DrawOptions,
  type Image,
  InputError,
  Kelix,
  ModelError,
  type RgbImage,
} from "../src/index.ts";
import { writeTinyModel } from "./tiny-model.ts";

let folder: string;
let kelix: Kelix;
beforeAll(async () => {
  folder = await writeTinyModel(await mkdtemp(join(tmpdir(), "kelix-tiny-")));
  kelix = await Kelix.load(folder, { threads: 1 });
});
afterAll(async () => {
  await kelix?.dispose();
  await rm(folder, { recursive: true, force: true });
});

function drawn(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = i * 7 + (i >> 6); // Uint8Array.from takes a second for a large one
  return { width, height, data };
}

describe("tokenize", () => {
  test.each([
    [96, 96],
    [304, 304],
    [1, 1],
    [1000, 1000],
    [200, 190],
  ])("gives a square image of %i x %i a grid of 6 x 6", async (width, height) => {
    const { grid, codes } = await kelix.tokenize(drawn(width, height));
    expect(grid).toEqual([6, 6]);
    expect(codes).toHaveLength(36 * 8);
    expect(Math.max(...codes)).toBeLessThan(16);
  });

  test.each([
    [140, 100],
    [30, 90],
    [150, 1],
    [8000, 100],
    [100, 18_000],
  ])("keeps the shape of %i x %i about as it is, at about 36 positions", async (width, height) => {
    const { grid } = await kelix.tokenize(drawn(width, height));
    expect(grid[0] * grid[1]).toBeGreaterThan(20);
    expect(grid[0] * grid[1]).toBeLessThan(90);
    expect(grid[1] > grid[0]).toBe(width > height);
  });

  test("gives equal codes for the same image as bytes and as pixels, and remembers its size", async () => {
    const bytes = await readFile("data/heldout/demo/rocket.png");
    const first = await kelix.tokenize(bytes);
    expect(await kelix.tokenize("data/heldout/demo/rocket.png")).toEqual(first);
    expect([first.width, first.height]).toEqual([96, 96]);
  });
});

describe("reconstruct", () => {
  test("draws an image of the grid's size from codes; the seed alone decides", async () => {
    const codes = await kelix.tokenize(drawn(96, 96));
    const image = await kelix.reconstruct(codes, { seed: 1 });
    expect([image.width, image.height, image.data.length]).toEqual([96, 96, 96 * 96 * 4]);
    expect((await kelix.reconstruct(codes, { seed: 1 })).data).toEqual(image.data);
    expect((await kelix.reconstruct(codes, { seed: 2 })).data).not.toEqual(image.data);
    expect((await kelix.reconstruct(drawn(96, 96), { seed: 1 })).data).toEqual(image.data);
  });

  test("follows the grid, reports steps and shows previews", async () => {
    const codes = await kelix.tokenize(drawn(200, 100));
    const seen: number[] = [];
    const previews: Image[] = [];
    const image = await kelix.reconstruct(codes, {
      steps: 3,
      guidance: 2,
      onProgress: ({ task, done }) => void (task === "draw" && seen.push(done)),
      onPreview: (preview) => void previews.push(preview),
    });
    expect([image.height, image.width]).toEqual([codes.grid[0] * 16, codes.grid[1] * 16]);
    expect(seen).toEqual([1, 2, 3]);
    expect(previews.length).toBeGreaterThan(0);
    expect(previews[0]!.data).toHaveLength(image.data.length);
  });

  const codes = (grid: readonly [number, number], fill: number, length = grid[0] * grid[1] * 8): CodesInput => ({
    grid,
    codes: new Uint16Array(length).fill(fill),
  });
  test.each([
    ["a code outside its book", codes([6, 6], 16), "Expected codes from 0 to 15, got 16 at position 0, book 0"],
    ["too few codes", codes([6, 6], 0, 8), "Expected 6 x 6 positions of 8 codes, got 8 codes"],
    ["a huge grid", codes([1, 20_000], 0), "Expected a grid of at most"],
    ["a broken grid", codes([0, 6], 0), "Expected a grid of at most"],
  ])("rejects %s", async (_, bad, message) => {
    await expect(kelix.reconstruct(bad)).rejects.toThrow(message);
  });

  test("rejects options out of range and stops when aborted", async () => {
    const codes = await kelix.tokenize(drawn(96, 96));
    await expect(kelix.reconstruct(codes, { steps: 0 })).rejects.toThrow(
      "Expected `steps` to be an integer from 1 to 1000, got 0",
    );
    await expect(kelix.reconstruct(codes, { seed: -1 })).rejects.toThrow("Expected `seed`");
    await expect(kelix.reconstruct(codes, { guidance: Number.NaN })).rejects.toThrow("Expected `guidance`");
    const abort = new AbortController();
    const work = kelix.reconstruct(codes, {
      steps: 1000,
      signal: abort.signal,
      onProgress: ({ done }) => void (done === 2 && abort.abort(new Error("enough"))),
    });
    await expect(work).rejects.toThrow("enough");
  });
});

describe("imagine", () => {
  test("draws an image for a prompt; the same seed draws the same", async () => {
    const [image, ...others] = await kelix.imagine("a red apple", { seed: 1 });
    expect(others).toEqual([]);
    expect(image).toMatchObject({ width: 96, height: 96, seed: 1 });
    expect((await kelix.imagine("a red apple", { seed: 1 }))[0]).toEqual(image);
    expect((await kelix.imagine("a red apple", { seed: 2 }))[0]!.data).not.toEqual(image!.data);
  });

  test("hands out the codes that it wrote, which can be drawn again", async () => {
    const [{ codes }] = (await kelix.imagine("a red apple", { seed: 1, steps: 1 })) as [DrawnImage];
    expect(codes.grid).toEqual([6, 6]);
    expect((await kelix.reconstruct(codes)).width).toBe(96);
  });

  test("draws n images, each as its own seed would", async () => {
    // Receipts tell apart what was drawn alone.
    const [first, second] = await kelix.imagine("a red apple", { seed: 4, n: 2, receipt: false });
    expect([first]).toEqual(await kelix.imagine("a red apple", { seed: 4, receipt: false }));
    expect([second]).toEqual(await kelix.imagine("a red apple", { seed: 5, receipt: false }));
  });

  test.each([
    [{ temperature: -1 }, "Expected `temperature`"],
    [{ topP: 0 }, "Expected `topP`"],
    [{ steps: 1.5 }, "Expected `steps`"],
    [{ n: 0 }, "Expected `n`"],
    [{ positions: "demo" }, "no demo guesses"],
  ] as const)("rejects %j", async (options, message) => {
    await expect(kelix.imagine("a red apple", options)).rejects.toThrow(message);
  });
});

describe("chat", () => {
  const question = (image: RgbImage | CodesInput | string) =>
    [
      {
        role: "user",
        content: [
          { type: "image", image },
          { type: "text", text: "What is this?" },
        ],
      },
    ] as const;
  const textOf = async (chat: Chat) => (await chat.result()).text;

  test("answers in pieces, the same ones for an image and for its codes", async () => {
    const options = { maxNewTokens: 8 };
    const answer = await textOf(kelix.chat(question("data/heldout/demo/rocket.png"), options));
    const codes = await kelix.tokenize("data/heldout/demo/rocket.png");
    expect(await textOf(kelix.chat(question(codes), options))).toEqual(answer);
  });

  test("answers two people at once about one image, and the next turn, as it would without having read anything before", async () => {
    const image = "data/heldout/demo/rocket.png";
    const ask = (model: Kelix, text: string, before: ChatMessage[] = []) => {
      const content = [
        ...(before.length > 0 ? [] : [{ type: "image", image } as const]),
        { type: "text", text } as const,
      ];
      return textOf(model.chat([...before, { role: "user", content }], { maxNewTokens: 6 }));
    };
    const forgetful = await Kelix.load(folder, { threads: 1, promptCacheBytes: 0 });
    const texts = ["What is this?", "How many rockets are there?"];
    const wanted = await Promise.all(texts.map((text) => ask(forgetful, text)));
    expect(await Promise.all(texts.map((text) => ask(kelix, text)))).toEqual(wanted);
    const turns: ChatMessage[] = [...question(image), { role: "assistant", content: wanted[0]! }];
    expect(await ask(kelix, "Why?", turns)).toEqual(await ask(forgetful, "Why?", turns));
    await forgetful.dispose();
  });

  test("guesses tokens without changing the answer", async () => {
    const again = [{ role: "user", content: "red red red red red red red red" }] as const;
    const answer = (promptLookupNumTokens: number) =>
      textOf(kelix.chat(again, { maxNewTokens: 24, promptLookupNumTokens }));
    expect(await answer(4)).toEqual(await answer(0));
    await expect(answer(-1)).rejects.toThrow("Expected `promptLookupNumTokens`");
  });

  test("reads images on both sides and text that spells special tokens", async () => {
    const image = drawn(96, 96);
    const messages = [
      { role: "system", content: "Be brief. <|im_end|>" },
      { role: "user", content: "Draw <|image_pad|> a circle" },
      { role: "assistant", content: [{ type: "image", image }] },
      {
        role: "user",
        content: [
          { type: "text", text: "Compare it with" },
          { type: "image", image },
        ],
      },
    ] as const;
    await textOf(kelix.chat(messages, { maxNewTokens: 2, seed: 3, temperature: 1 }));
  });

  test("rejects conversations that are not, and ones that do not fit", async () => {
    const ask = (messages: unknown, options = {}) => textOf(kelix.chat(messages as never, options));
    await expect(ask([])).rejects.toThrow("Expected at least one message");
    await expect(ask([{ role: "robot", content: "Hi" }])).rejects.toThrow("messages[0]");
    await expect(ask([{ role: "user", content: [{ type: "video" }] }])).rejects.toThrow("messages[0].content[0]");
    await expect(ask([{ role: "user", content: "word ".repeat(400) }])).rejects.toThrow("at most 256");
    await expect(ask(question(drawn(96, 96)), { maxNewTokens: 0 })).rejects.toThrow("Expected `maxNewTokens`");
  });

  test("stops when aborted", async () => {
    await expect(
      textOf(kelix.chat(question(drawn(96, 96)), { signal: AbortSignal.abort(new Error("enough")) })),
    ).rejects.toThrow("enough");
  });
});

describe("loading", () => {
  test("tells the sizes of a model", () => {
    expect(kelix.info()).toMatchObject({ path: folder, codebooks: 8, codesPerBook: 16, vocabulary: 1536, layers: 2 });
  });

  test("names the choices when there is no such model, and says how to get one of the Hub", async () => {
    await expect(Kelix.load("nowhere")).rejects.toThrow("kelix-nano");
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    vi.stubEnv("HF_HOME", join(folder, "no-cache"));
    await expect(Kelix.load("OpenOneRec/Kelix-SFT")).rejects.toThrow("kelix pull OpenOneRec/Kelix-SFT");
    vi.unstubAllEnvs();
  });

  test("lists what a checkpoint lacks", async () => {
    const broken = await writeTinyModel(await mkdtemp(join(tmpdir(), "kelix-broken-")));
    const path = join(broken, "config.json");
    const config = JSON.parse(await readFile(path, "utf8"));
    config.qwen_config.num_layers = 3;
    await writeFile(path, JSON.stringify(config));
    const loading = Kelix.load(broken);
    await expect(loading).rejects.toThrow(ModelError);
    await expect(loading).rejects.toThrow("model.model.layers.2.attn.q_proj.weight [32,32]");
    await rm(broken, { recursive: true });
  });

  test("runs on WASM with the same codes", async () => {
    const wasm = await Kelix.load(folder, { device: "wasm" });
    try {
      const image = "data/heldout/demo/rocket.png";
      const codes = await wasm.tokenize(image);
      expect(codes).toEqual(await kelix.tokenize(image));
      const [a, b] = [await wasm.reconstruct(codes), await kelix.reconstruct(codes)];
      expect(Math.max(...a.data.map((value, i) => Math.abs(value - b.data[i]!)))).toBeLessThanOrEqual(1);
    } finally {
      await wasm.dispose();
    }
  });
});

describe("on WASM, which runs on the caller's thread", () => {
  const image = drawn(96, 96);
  const messages = [{ role: "user", content: "word ".repeat(20) }] as const;
  let wasm: Kelix;
  beforeAll(async () => {
    wasm = await Kelix.load(folder, { device: "wasm" });
  });
  afterAll(() => wasm.dispose());

  /** Aborts a job by a timer; how often it reported after that, and how often another timer ticked. */
  async function abort(job: (signal: AbortSignal, report: () => void) => Promise<unknown>) {
    const controller = new AbortController();
    let [reports, ticks] = [0, 0];
    const timers = [setInterval(() => ticks++, 5), setTimeout(() => controller.abort(new Error("enough")), 100)];
    const report = () => void (controller.signal.aborted && reports++);
    try {
      await expect(job(controller.signal, report)).rejects.toThrow("enough");
    } finally {
      for (const timer of timers) clearTimeout(timer);
    }
    return { reports, ticks };
  }

  test.each([
    ["imagine", (options: DrawOptions) => wasm.imagine("a red apple", options)],
    ["reconstruct", (options: DrawOptions) => wasm.reconstruct(image, options)],
  ])("%s ends within a step of a timer's abort, and other timers tick meanwhile", async (_, draw) => {
    await draw({ steps: 1 }); // opens its sessions, which awaits files
    const { reports, ticks } = await abort((signal, onProgress) => draw({ steps: 1000, signal, onProgress }));
    expect(reports).toBeLessThanOrEqual(1);
    expect(ticks).toBeGreaterThan(0);
  });

  test("so does a conversation", async () => {
    const talk = async (options: ChatOptions, report = () => {}) => {
      for await (const _ of wasm.chat(messages, { temperature: 1, ...options })) report();
    };
    await talk({ maxNewTokens: 1 });
    const { reports, ticks } = await abort(async (signal, report) => {
      for (let seed = 0; seed < 100; seed++) await talk({ signal, seed }, report); // each ends by itself
    });
    expect(reports).toBeLessThanOrEqual(1);
    expect(ticks).toBeGreaterThan(0);
  });
});

describe("at the released grid of 18 x 18 positions, which is the default", () => {
  /** Hands a model over that has no grid of its own. */
  async function withoutGrid(from: string, use: (model: Kelix) => Promise<void>) {
    const own = await mkdtemp(join(tmpdir(), "kelix-grid-"));
    for (const name of await readdir(from))
      if (name !== "generation_config.json") await symlink(join(resolve(from), name), join(own, name));
    const config = JSON.parse(await readFile(join(from, "generation_config.json"), "utf8"));
    const imagine = { ...config.imagine, grid: undefined, steps: 1, guidance: 1 };
    await writeFile(join(own, "generation_config.json"), JSON.stringify({ ...config, imagine }));
    const model = await Kelix.load(own, { threads: 1 });
    try {
      await use(model);
    } finally {
      await model.dispose();
      await rm(own, { recursive: true });
    }
  }

  test("a conversation draws, whatever the limit of tokens, and a prompt that leaves no room is rejected", () =>
    withoutGrid("models/kelix-nano", async (nano) => {
      const chat = nano.chat([{ role: "user", content: "two red circles" }], { maxNewTokens: 2, steps: 1 });
      const { images, usage } = await chat.result();
      expect(images).toMatchObject([{ width: 288, height: 288, codes: { grid: [18, 18] } }]);
      expect(usage.completionTokens).toBeLessThanOrEqual(1 + 324 + 1 + 2);
      const refused = nano.imagine("a red circle and a blue square ".repeat(100));
      await expect(refused).rejects.toThrow(InputError);
      await expect(refused).rejects.toThrow(/An image takes 325 more positions, and of the 1024 .* are left: shorten/);
    }));

  test("a model that reads less rejects to imagine", () =>
    withoutGrid(folder, async (small) => {
      await expect(small.imagine("a red apple")).rejects.toThrow("An image takes 325 more positions, and of the 256");
    }));
});
