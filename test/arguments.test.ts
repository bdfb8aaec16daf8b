// What the public calls do with arguments that cannot be used, with signals, and with a model that was disposed of.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as api from "../src/index.ts";
import { Kelix, KelixError, pullModel } from "../src/index.ts";
import { convertModel } from "../src/quantize/convert.ts";
import { foreign, tryOddArguments } from "./odd-arguments.ts";
import { writeTinyModel } from "./tiny-model.ts";

let folder: string;
let kelix: Kelix;
beforeAll(async () => {
  folder = await writeTinyModel(await mkdtemp(join(tmpdir(), "kelix-arguments-")));
  kelix = await Kelix.load(folder, { threads: 1 });
});
afterAll(async () => {
  await kelix?.dispose();
  await rm(folder, { recursive: true, force: true });
});

const image = { width: 96, height: 96, data: new Uint8Array(96 * 96 * 3).fill(90) };
const messages = [
  {
    role: "user",
    content: [
      { type: "image", image },
      { type: "text", text: "What is this?" },
    ],
  },
];

async function answer(model: Kelix, ...args: Parameters<Kelix["chat"]>): Promise<api.ChatEvent[]> {
  const events = [];
  for await (const event of model.chat(...args)) if (event.type !== "end") events.push(event);
  return events;
}

/** Every call of a model with options, and arguments that it can use. */
const calls: Readonly<Record<string, (model: Kelix, options: object) => Promise<unknown>>> = {
  tokenize: (model, options) => model.tokenize(image, options),
  reconstruct: (model, options) => model.reconstruct({ grid: [6, 6], codes: new Uint16Array(288) }, options),
  imagine: (model, options) => model.imagine("a red apple", options),
  edit: (model, options) => model.edit(image, "make it blue", options),
  describe: (model, options) => model.describe(image, options),
  chat: (model, options) => answer(model, messages, options),
  embed: (model, options) => model.embed(image, options),
  score: (model, options) => model.score(messages, options),
};

/** Those of these options that a call has. */
function optionsFor(name: string, { seed, steps }: { seed?: number | undefined; steps?: number | undefined }): object {
  const isRandom = !["tokenize", "embed", "score"].includes(name);
  return { ...(isRandom && { seed }), ...(isRandom && name !== "describe" && { steps }) };
}

async function refusal(work: () => Promise<unknown>): Promise<KelixError> {
  const error = await work().then(
    () => new Error("was accepted"),
    (error) => error,
  );
  expect(error).toBeInstanceOf(KelixError);
  expect(error.message).not.toMatch(foreign);
  expect(error.message.length).toBeLessThan(1000);
  return error;
}

describe("arguments", () => {
  // biome-ignore lint/suspicious/noExplicitAny: what JavaScript lets pass
  const any = (value: unknown) => value as any;
  const long = "x".repeat(100_000);
  test.each([
    [
      "load",
      () => Kelix.load(any({ model: "x" })),
      "invalid_input",
      /Kelix\.load\(name, options\).*got \{"model":"x"\}/,
    ],
    ["load", () => Kelix.load(any(5)), "invalid_input", /got 5/],
    ["load", () => Kelix.load(""), "invalid_input", /got ""/],
    ["load", () => Kelix.load("  "), "invalid_input", /got " {2}"/],
    ["load", () => Kelix.load(any(null)), "invalid_input", /got null/],
    ["load", () => Kelix.load(long), "model_not_found", /there is no such model folder/],
    ["load", () => Kelix.load("a\0b"), "model_not_found", /there is no such model folder/],
    ["load", () => Kelix.load(folder, any({ device: "gpu" })), "invalid_option", /one of cpu, webgpu, cuda, wasm/],
    ["load", () => Kelix.load(folder, { threads: 1e9 }), "invalid_option", /from 1 to 256/],
    [
      "load",
      () => Kelix.load(folder, any({ max_tokens: 1 })),
      "invalid_option",
      /Unknown option `max_tokens` of `load`/,
    ],
    ["tokenize", () => kelix.tokenize(any(undefined)), "invalid_image", /got undefined/],
    ["tokenize", () => kelix.tokenize(image, any({ steps: 2 })), "invalid_option", /it is one of `reconstruct`/],
    ["reconstruct", () => kelix.reconstruct(any(undefined)), "invalid_image", /got undefined/],
    ["reconstruct", () => kelix.reconstruct({ grid: [6, 6], codes: [1] }), "invalid_codes", /of 8 codes, got 1 codes/],
    ["imagine", () => kelix.imagine(any(undefined)), "invalid_input", /a prompt as a text.*got undefined/],
    ["imagine", () => kelix.imagine(any(messages)), "invalid_input", /a prompt as a text/],
    ["imagine", () => kelix.imagine(""), "invalid_input", /got an empty text/],
    ["imagine", () => kelix.imagine("a ".repeat(5000)), "too_long", /positions/],
    [
      "imagine",
      () => kelix.imagine("a", { seed: Number.MAX_SAFE_INTEGER - 1, n: 3 }),
      "invalid_option",
      /The last of 3 seeds/,
    ],
    ["chat", () => answer(kelix, any("hello")), "invalid_messages", /got the text "hello"/],
    ["chat", () => answer(kelix, any(messages[0])), "invalid_messages", /one message; put it into a list/],
    ["chat", () => answer(kelix, messages, any({ max_tokens: 3 })), "invalid_option", /did you mean `maxNewTokens`/],
    [
      "chat",
      () => answer(kelix, [{ role: "user", content: [{ type: "image", image: { grid: [6, 6], codes: [1] } }] }]),
      "invalid_codes",
      /6 x 6 positions of 8 codes, got 1 codes/,
    ],
    ["describe", () => kelix.describe(any(undefined)), "invalid_image", /got undefined/],
    [
      "describe",
      () => kelix.describe(image, { prompt: "" }),
      "invalid_option",
      /`prompt` to be a text that is not empty/,
    ],
    ["edit", () => kelix.edit(any(undefined), "x"), "invalid_image", /got undefined/],
    ["edit", () => kelix.edit(image, any(undefined)), "invalid_input", /a prompt as a text.*got undefined/],
    ["edit", () => kelix.edit(image, "x", { mask: any({}) }), "invalid_image", /got \{\}/],
    ["embed", () => kelix.embed(any({ grid: [6, 6], codes: [1] })), "invalid_codes", /of 8 codes, got 1 codes/],
    ["score", () => kelix.score(any("hello")), "invalid_messages", /got the text "hello"/],
    ["score", () => kelix.score(messages, any({ seed: 1 })), "invalid_option", /it is one of `reconstruct`/],
    ["ImageCodes.from", async () => api.ImageCodes.from("hello"), "invalid_codes", /got "hello"/],
    ["pullModel", () => pullModel(any(undefined)), "invalid_input", /owner\/name@revision, got undefined/],
    ["pullModel", () => pullModel(long), "invalid_input", /owner\/name@revision/],
    ["pullModel", () => pullModel("a/b", any({ branch: "x" })), "invalid_option", /did you mean `revision`/],
    ["inspectModel", () => api.inspectModel(any(undefined)), "invalid_input", /got undefined/],
    ["inspectModel", () => api.inspectModel(folder, any({ dit: "x" })), "invalid_option", /did you mean `detokenizer`/],
    ["planModel", () => api.planModel(any({}), any({})), "invalid_input", /got \{\}/],
    ["examineMachine", () => api.examineMachine(any({ threads: 0 })), "invalid_option", /from 1 to 256/],
    ["convertModel", () => convertModel(folder, any(undefined), { weights: "bf16" }), "invalid_input", /new folder/],
    [
      "convertModel",
      () => convertModel(folder, "x", any({ weights: "bf16", block: 32 })),
      "invalid_option",
      /have no blocks/,
    ],
    ["convertModel", () => convertModel(folder, "x", any({ dtype: "q4" })), "invalid_option", /Unknown option `dtype`/],
    ["writePng", () => api.writePng(any(undefined), image), "output_refused", /got undefined/],
    ["writePng", () => api.writePng("x.png", any({ width: 1 })), "invalid_image", /expected/],
  ])("%s rejects what it cannot use: %s", async (_, work, code, message) => {
    const error = await refusal(work);
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
  });

  test("whatever they are get a sentence, or what was asked for", () => tryOddArguments(kelix, 100));

  test.each(Object.keys(calls))("%s takes options that are undefined for absent", async (name) => {
    const absent = { signal: undefined, ...optionsFor(name, {}) };
    expect(await calls[name]!(kelix, absent)).toEqual(await calls[name]!(kelix, {}));
  });

  test("codes that went through JSON are drawn like those that did not, alone and in a conversation", async () => {
    const codes = await kelix.tokenize(image);
    const again = JSON.parse(JSON.stringify(codes));
    expect(await kelix.reconstruct(again)).toEqual(await kelix.reconstruct(codes));
    const ask = (image: api.CodesInput) => answer(kelix, [{ role: "user", content: [{ type: "image", image }] }]);
    expect(await ask(again)).toEqual(await ask(codes));
  });

  test("nothing is opened for codes that cannot be", async () => {
    const fresh = await Kelix.load(folder, { device: "wasm" });
    const start = performance.now();
    await refusal(() => fresh.reconstruct({ grid: [6, 6], codes: [99] }));
    expect(performance.now() - start).toBeLessThan(200);
    await fresh.dispose();
  });
});

describe("a signal", () => {
  const reasons = [new Error("enough"), "a text", { why: "an object" }];
  test.each(Object.keys(calls))("ends %s with its own reason, whenever it comes", async (name) => {
    for (const reason of reasons) {
      const given = { signal: AbortSignal.abort(reason) };
      await expect(calls[name]!(kelix, given)).rejects.toBe(reason);
    }
    for (const ms of [0, 1, 3, 10]) {
      const signal = AbortSignal.timeout(ms);
      const error = await calls[name]!(kelix, { signal }).then(
        () => undefined,
        (error) => error,
      );
      if (error) expect(error).toBe(signal.reason);
    }
  });

  test("ends load with its own reason", async () => {
    const reason = new Error("enough");
    await expect(Kelix.load(folder, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const abort = new AbortController();
    const loading = Kelix.load(folder, { signal: abort.signal });
    abort.abort(reason);
    await expect(loading).rejects.toBe(reason);
  });

  test("a callback that throws ends the work with what it threw", async () => {
    const thrown = new Error("mine");
    const onProgress = () => {
      throw thrown;
    };
    await expect(kelix.reconstruct(image, { onProgress })).rejects.toBe(thrown);
    await expect(kelix.imagine("a red apple", { onProgress })).rejects.toBe(thrown);
    await expect(Kelix.load(folder, { onProgress })).rejects.toBe(thrown);
  });
});

describe("a model that was disposed of", () => {
  test("rejects every call, and says why", async () => {
    const model = await Kelix.load(folder, { threads: 1 });
    await model.dispose();
    await model.dispose();
    for (const [name, call] of Object.entries(calls)) {
      const error = await refusal(() => call(model, {}));
      expect([name, error.code, error.message]).toEqual([name, "disposed", expect.stringContaining("disposed of")]);
    }
  });

  test.each(["cpu", "wasm"] as const)("meanwhile ends the work that goes on, and says why, on %s", async (device) => {
    for (const [name, call] of Object.entries(calls)) {
      if (device === "wasm" && name !== "imagine") continue; // it takes long to open
      for (const ms of device === "cpu" ? [0, 5] : [0]) {
        const model = await Kelix.load(folder, { device, threads: 1 });
        if (ms > 0) await call(model, optionsFor(name, { seed: 1 }));
        const work = call(model, optionsFor(name, { steps: 50, seed: 2 })).catch((error) => error);
        await new Promise((done) => setTimeout(done, ms));
        await model.dispose();
        const result = await work;
        if (result instanceof Error) expect([name, (result as KelixError).code]).toEqual([name, "disposed"]);
      }
    }
  });

  test("ends a conversation whose reader takes its time", async () => {
    const model = await Kelix.load(folder, { threads: 1 });
    const pieces = model.chat(messages, { maxNewTokens: 20, temperature: 1 })[Symbol.asyncIterator]();
    await pieces.next();
    await model.dispose();
    const error = await refusal(async () => {
      for await (const _ of pieces);
    });
    expect(error.code).toBe("disposed");
  });
});
