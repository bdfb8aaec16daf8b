// The calls of the public API with a small random model: what each gives, and what stops it.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Chat,
  type ChatEvent,
  type ChatMessage,
  type DrawnImage,
  ImageCodes,
  InputError,
  Kelix,
} from "../src/index.ts";
import { writeTinyModel } from "./tiny-model.ts";

let folder: string;
let kelix: Kelix;
beforeAll(async () => {
  folder = await writeTinyModel(await mkdtemp(join(tmpdir(), "kelix-api-")));
  kelix = await Kelix.load(folder, { threads: 1 });
});
afterAll(async () => {
  await kelix?.dispose();
  await rm(folder, { recursive: true, force: true });
});

const rocket = "data/heldout/demo/rocket.png";
const square = {
  width: 96,
  height: 96,
  data: Uint8Array.from({ length: 96 * 96 * 3 }, (_, i) => (i * 7 + (i >> 6)) % 256),
};

function question(text = "What is this?", image: string | ImageCodes = rocket): ChatMessage[] {
  return [
    {
      role: "user",
      content: [
        { type: "image", image },
        { type: "text", text },
      ],
    },
  ];
}

async function eventsOf(chat: Chat): Promise<ChatEvent[]> {
  const events: ChatEvent[] = [];
  for await (const event of chat) events.push(event);
  return events;
}

const textOf = (events: readonly ChatEvent[]) =>
  events.map((event) => (event.type === "text" ? event.text : "")).join("");

describe("a chat", () => {
  const options = { maxNewTokens: 12, temperature: 1, seed: 3, topK: 50 } as const;

  test("is events, the last of which says why it ended and what it took", async () => {
    const events = await eventsOf(kelix.chat(question(), options));
    expect(events.slice(0, -1).every(({ type }) => type !== "end")).toBe(true);
    expect(events.at(-1)).toMatchObject({ type: "end", finishReason: "length" });
    const { text, images, finishReason, usage } = await kelix.chat(question(), options).result();
    expect(text).toBe(textOf(events));
    expect(images).toEqual(events.flatMap((event) => (event.type === "image" ? [event.image] : [])));
    expect(finishReason).toBe("length");
    expect(usage).toMatchObject({ imagesIn: 1, imagesOut: images.length });
    expect(usage.completionTokens).toBe(12 + images.length * 38); // 36 positions and the two marks of an image
  });

  test("counts what earlier calls had read", async () => {
    const fresh = await Kelix.load(folder, { threads: 1 });
    const usageOf = async (messages: ChatMessage[]) => (await fresh.chat(messages, { maxNewTokens: 1 }).result()).usage;
    const first = await usageOf(question());
    expect(first).toMatchObject({ cachedPromptTokens: 0, imagesIn: 1, cachedImages: 0, completionTokens: 1 });
    const again = await usageOf(question("How many rockets are there?"));
    expect(again).toMatchObject({ imagesIn: 1, cachedImages: 1 });
    expect(again.cachedPromptTokens).toBeGreaterThan(36);
    expect(again.cachedPromptTokens).toBeLessThan(again.promptTokens);
    const codes = await fresh.tokenize(rocket);
    const third = await usageOf(question("What is this?", codes));
    expect(third).toMatchObject({ promptTokens: first.promptTokens, cachedImages: 1 });
    expect(third.cachedPromptTokens).toBeGreaterThanOrEqual(again.cachedPromptTokens);
    const forgetful = await Kelix.load(folder, { threads: 1, promptCacheBytes: 0 });
    for (let i = 0; i < 2; i++)
      expect((await forgetful.chat(question(), { maxNewTokens: 1 }).result()).usage).toEqual(first);
    await Promise.all([fresh.dispose(), forgetful.dispose()]);
  });

  test("does its work once, however it is read", async () => {
    const chat = kelix.chat(question(), options);
    const [result, events] = await Promise.all([chat.result(), eventsOf(chat)]);
    expect(result.text).toBe(textOf(events));
    expect(await eventsOf(chat)).toEqual(events);
    const again = await chat.result();
    expect(again).toEqual(result);
    for (const [i, image] of again.images.entries()) expect(image).toBe(result.images[i]);
  });

  test("begins nothing before it is asked", async () => {
    let steps = 0;
    const chat = kelix.chat(question(), { ...options, signal: countedSignal(() => steps++) });
    await new Promise((done) => setTimeout(done, 20));
    expect(steps).toBe(0);
    await chat.result();
    expect(steps).toBeGreaterThan(0);
  });

  test("that is left early ends as cancelled, with what came until then, and frees its sequence", async () => {
    const chat = kelix.chat(question(), { ...options, maxNewTokens: 100 });
    const seen: ChatEvent[] = [];
    for await (const event of chat) {
      seen.push(event);
      if (seen.length === 2) break;
    }
    const { text, finishReason, usage } = await chat.result();
    expect(finishReason).toBe("cancelled");
    expect(text).toBe(textOf(seen));
    expect(usage.completionTokens).toBeLessThan(100);
    expect(await eventsOf(chat)).toEqual([...seen, { type: "end", finishReason, usage }]);
    const { usage: next } = await kelix.chat(question(), { maxNewTokens: 1 }).result();
    expect(next.cachedPromptTokens).toBe(next.promptTokens); // the sequence came back
  });

  test("that is aborted rejects with the signal's own reason, in the loop and in the result", async () => {
    const reason = { why: "the user left" };
    for (const images of [false, true]) {
      const controller = new AbortController();
      const chat = kelix.chat(images ? question() : [{ role: "user", content: "word" }], {
        ...options,
        maxNewTokens: 100,
        signal: controller.signal,
      });
      let count = 0;
      const reading = async () => {
        for await (const _ of chat) if (++count === 2) controller.abort(reason);
      };
      await expect(reading()).rejects.toBe(reason);
      await expect(chat.result()).rejects.toBe(reason);
      expect(count).toBe(2);
    }
    await expect(kelix.chat(question(), { signal: AbortSignal.abort(reason) }).result()).rejects.toBe(reason);
  });

  test("never gives out a stop string, whichever pieces it comes in", async () => {
    const { text } = await kelix.chat(question(), { ...options, maxNewTokens: 30 }).result();
    expect(text.length).toBeGreaterThan(12);
    for (const at of [0, 3, 7, text.length - 6]) {
      const stop = text.slice(at, at + 5);
      const events = await eventsOf(
        kelix.chat(question(), { ...options, maxNewTokens: 30, stop: ["not in it", stop] }),
      );
      expect(textOf(events)).toBe(text.slice(0, text.indexOf(stop)));
      expect(events.at(-1)).toMatchObject({ finishReason: "stop" });
    }
    const { text: whole } = await kelix
      .chat(question(), { ...options, maxNewTokens: 30, stop: `${text.slice(-4)}!` })
      .result();
    expect(whole).toBe(text);
  });

  test.each([
    [{ stop: "" }, /Expected `stop` to be a text that is not empty, or a list of such texts, got ""/],
    [{ stop: [""] }, /Expected `stop`/],
    [{ stop: [5] }, /Expected `stop`.*got \[5\]/],
    [{ stop_sequences: ["a"] }, /did you mean `stop`/],
    [{ logprobs: true }, /`topLogprobs` of/],
    [{ mask: [] }, /it is one of `edit`/],
  ])("rejects %j, when it is read", async (bad, message) => {
    const chat = kelix.chat(question(), bad as never);
    await expect(chat.result()).rejects.toThrow(InputError);
    await expect(eventsOf(chat)).rejects.toThrow(message);
  });
});

/** A signal that is never aborted and tells when it is looked at. */
function countedSignal(onLook: () => void): AbortSignal {
  const { signal } = new AbortController();
  return new Proxy(signal, {
    get: (target, name) => {
      if (name === "throwIfAborted") onLook();
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

test("describe gives the text of a chat about one image", async () => {
  const wanted = (await kelix.chat(question("How many?"), { maxNewTokens: 9 }).result()).text.trim();
  const options = { prompt: "How many?", maxNewTokens: 9 };
  expect(await kelix.describe(rocket, options)).toBe(wanted);
  expect(await kelix.describe(await kelix.tokenize(rocket), options)).toBe(wanted);
  await expect(kelix.describe(undefined as never)).rejects.toThrow(/^Expected an image as a path/);
  await expect(kelix.describe(rocket, { steps: 3 } as never)).rejects.toThrow(/Unknown option `steps` of `describe`/);
});

describe("an image", () => {
  let image: DrawnImage;
  beforeAll(async () => {
    [image] = (await kelix.imagine("a red apple", { seed: 1 })) as [DrawnImage];
  });

  test("is RGBA that sharp takes as it is, and its PNG decodes to the same pixels", async () => {
    expect(image).toMatchObject({ width: 96, height: 96, channels: 4 });
    expect(image.data).toBeInstanceOf(Uint8ClampedArray); // as ImageData
    const png = await sharp(image.data, { raw: image }).png().toBuffer();
    const own = await image.toPng();
    for (const file of [png, own]) {
      const { data, info } = await sharp(file).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
      expect([info.width, info.height]).toEqual([96, 96]);
      expect(new Uint8ClampedArray(data)).toEqual(image.data);
    }
  });

  test("is a blob of its format, and every call takes it back", async () => {
    const blob = await image.toBlob();
    expect([blob.type, (await image.toBlob("jpeg")).type]).toEqual(["image/png", "image/jpeg"]);
    const codes = await kelix.tokenize(image);
    expect(await kelix.tokenize(blob)).toEqual(codes);
    expect(await kelix.tokenize(await image.toPng())).toEqual(codes);
  });

  test("comes with codes that survive as bytes and as JSON", async () => {
    const { codes } = image;
    expect(codes.toBytes().length).toBeLessThan(300);
    const drawn = await kelix.reconstruct(codes);
    for (const form of [codes.toBytes(), JSON.stringify(codes)])
      expect(await kelix.reconstruct(ImageCodes.from(form))).toEqual(drawn);
  });
});

describe("edit", () => {
  const mask = Array.from({ length: 36 }, (_, at) => at % 5 === 0 || at > 30);

  test("rewrites the positions of the mask and keeps the codes of the others", async () => {
    const source = await kelix.tokenize(rocket);
    const edited = await kelix.edit(rocket, "make it blue", { mask, seed: 4 });
    expect(edited).toMatchObject({ width: 96, height: 96, seed: 4 });
    const positions = (codes: ImageCodes) =>
      Array.from({ length: 36 }, (_, at) => [...codes.codes.subarray(at * 8, at * 8 + 8)]);
    const [before, after] = [positions(source), positions(edited.codes)];
    for (const [at, isFree] of mask.entries()) if (!isFree) expect(after[at]).toEqual(before[at]);
    expect(mask.some((isFree, at) => isFree && String(after[at]) !== String(before[at]))).toBe(true);
    expect(await kelix.edit(rocket, "make it blue", { mask, seed: 4 })).toEqual(edited);
    expect(await kelix.edit(source, "make it blue", { mask, seed: 4 })).toEqual(edited);
    expect((await kelix.edit(rocket, "make it blue", { mask, seed: 5 })).codes).not.toEqual(edited.codes);
    expect((await kelix.edit(rocket, "make it red", { mask, seed: 4 })).data).not.toEqual(edited.data);
  });

  test("takes a mask as an image, white where it rewrites", async () => {
    const data = Uint8Array.from({ length: 6 * 6 * 3 }, (_, i) => (mask[Math.floor(i / 3)] ? 255 : 0));
    const pixels = { width: 6, height: 6, data };
    const wanted = await kelix.edit(rocket, "make it blue", { mask, seed: 4 });
    expect(await kelix.edit(rocket, "make it blue", { mask: pixels, seed: 4 })).toEqual(wanted);
    const png = await sharp(data, { raw: { width: 6, height: 6, channels: 3 } })
      .resize(96, 96, { kernel: "nearest" })
      .png()
      .toBuffer();
    expect(await kelix.edit(rocket, "make it blue", { mask: png, seed: 4 })).toEqual(wanted);
  });

  test("without a mask writes every position, as with one that is all white", async () => {
    const all = await kelix.edit(square, "again", { seed: 2 });
    expect(await kelix.edit(square, "again", { seed: 2, mask: Array(36).fill(1) })).toEqual(all);
  });

  test("reads an image of another shape at the grid that the model draws", async () => {
    const wide = { width: 200, height: 80, data: new Uint8Array(200 * 80 * 3).fill(77) };
    expect((await kelix.tokenize(wide)).grid).not.toEqual([6, 6]);
    const edited = await kelix.edit(wide, "again", { mask, seed: 1 });
    expect(edited.codes.grid).toEqual([6, 6]);
  });

  const codes = { grid: [3, 3], codes: new Uint16Array(72) };
  test.each([
    ["a mask of another grid", () => kelix.edit(rocket, "x", { mask: [true] }), /6 x 6 values/],
    ["a mask of nothing", () => kelix.edit(rocket, "x", { mask: Array(36).fill(false) }), /selects no position/],
    ["a mask that is none", () => kelix.edit(rocket, "x", { mask: 5 as never }), /Expected `mask` to be an image/],
    ["codes of another grid", () => kelix.edit(codes, "x"), /Expected codes of 6 x 6 positions.*got 3 x 3/],
    ["no prompt", () => kelix.edit(rocket, ""), /a prompt as a text, such as edit/],
    ["n", () => kelix.edit(rocket, "x", { n: 2 } as never), /it is one of `imagine`/],
  ])("rejects %s", async (_, work, message) => {
    await expect(work()).rejects.toThrow(InputError);
    await expect(work()).rejects.toThrow(message);
  });

  test("stops when aborted", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const onProgress = ({ done }: { done: number }) => void (done === 3 && controller.abort(reason));
    await expect(kelix.edit(rocket, "x", { signal: controller.signal, onProgress })).rejects.toBe(reason);
  });
});

describe("embed", () => {
  test("is the mean of the embeddings of the positions' codes, the same for an image and its codes", async () => {
    const codes = await kelix.tokenize(rocket);
    const vector = await kelix.embed(rocket);
    expect(vector).toHaveLength(32);
    expect(await kelix.embed(codes)).toEqual(vector);
    const mean = new Float32Array(32);
    for (let at = 0; at < 36; at++) {
      const one = new ImageCodes({ grid: [1, 1], codes: codes.codes.slice(at * 8, at * 8 + 8) });
      (await kelix.embed(one)).forEach((value, i) => {
        mean[i]! += value / 36;
      });
    }
    for (const [i, value] of vector.entries()) expect(value).toBeCloseTo(mean[i]!, 5);
    const sum = await kelix.embed(codes, { fusion: "sum" });
    for (const [i, value] of sum.entries()) expect(value).toBeCloseTo(vector[i]! * 8, 4);
  });
});

describe("score", () => {
  const said = (content: ChatMessage["content"]): ChatMessage[] => [...question(), { role: "assistant", content }];

  test("gives each token of the last turn, with the mark that ends it", async () => {
    const scores = await kelix.score(said("a rocket"));
    expect(
      scores
        .slice(0, -1)
        .map(({ text }) => text)
        .join(""),
    ).toBe("a rocket");
    expect(scores.at(-1)!.text).toBe("<|im_end|>");
    for (const { logprob, code } of scores) {
      expect(logprob).toBeLessThan(0);
      expect(code).toBeUndefined();
    }
    expect(await kelix.score(said([{ type: "text", text: "a rocket" }]))).toEqual(scores);
  });

  test("is likeliest for what the model writes when greedy, as far as its first token goes", async () => {
    const { text } = await kelix.chat(question(), { maxNewTokens: 1 }).result();
    const [own] = await kelix.score(said(text));
    for (const other of ["a", "The", "red", "7"]) {
      const [first] = await kelix.score(said(other));
      if (first!.id !== own!.id) expect(first!.logprob).toBeLessThan(own!.logprob);
    }
  });

  test("gives the codes of images with their places, and text around them", async () => {
    const codes = await kelix.tokenize(rocket);
    const scores = await kelix.score(
      said([
        { type: "text", text: "see" },
        { type: "image", image: codes },
      ]),
    );
    const written = scores.flatMap(({ code }) => (code ? [code] : []));
    expect(written.map(({ code }) => code)).toEqual([...codes.codes]);
    expect(written[8 * 7 + 3]).toMatchObject({ image: 0, row: 1, column: 1, book: 3 });
    const texts = scores.flatMap(({ text }) => (text === undefined ? [] : [text]));
    expect(texts.join("")).toBe("see<|vision_start|><|vision_end|><|im_end|>");
    expect(scores.every(({ logprob }) => logprob < 0)).toBe(true);
  });

  test("scores whoever speaks last, an empty turn too, and rejects what is no conversation", async () => {
    const [first, ...rest] = await kelix.score([{ role: "user", content: "Hi" }]);
    expect([first, ...rest].map((token) => token!.text).join("")).toBe("Hi<|im_end|>");
    expect((await kelix.score(said(""))).map(({ text }) => text)).toEqual(["<|im_end|>"]);
    await expect(kelix.score([])).rejects.toThrow("Expected at least one message");
    await expect(kelix.score(said("word ".repeat(400)))).rejects.toThrow("at most 256");
  });

  test("is not changed by what was read before", async () => {
    const fresh = await Kelix.load(folder, { threads: 1, promptCacheBytes: 0 });
    const [cached, own] = [await kelix.score(said("two red circles")), await fresh.score(said("two red circles"))];
    await fresh.dispose();
    for (const [i, { id, logprob }] of own.entries()) {
      expect(cached[i]!.id).toBe(id);
      expect(cached[i]!.logprob).toBeCloseTo(logprob, 4);
    }
  });
});

test("says where each network runs that was used, and why", async () => {
  await kelix.tokenize(rocket);
  expect(kelix.info().devices).toContainEqual({ network: "vision encoder", device: "cpu", reason: "the usual one" });
  const other = await Kelix.load(folder, { threads: 1, device: "cpu" });
  expect(other.info().devices).toEqual([]);
  await other.embed(await kelix.tokenize(rocket));
  expect(other.info().devices).toContainEqual({ network: "code embeddings", device: "cpu", reason: "asked for" });
  await other.dispose();
});

test("kelix.ts stays short, and reaches nothing of Node", async () => {
  const text = await readFile("src/kelix.ts", "utf8");
  expect(text.split("\n").length).toBeLessThan(250);
  expect(text).not.toMatch(/\bnode:|\bBuffer\b|\bprocess\b|\.node\.ts/);
});
