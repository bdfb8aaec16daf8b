// Checkpoints exactly as the reference's own writer leaves them. `gqa8` is a small one with random weights: bf16 shards with an index,
// every field of every config, a tokenizer with added tokens of both kinds, two diffusion transformers and an autoencoder. Its
// expected.json was computed by the reference and by Kelix, which agree in every integer.

import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ChatMessage, conversation } from "../src/chat/conversation.ts";
import { folderFiles } from "../src/files/folder.node.ts";
import { type ImageCodes, inspectModel, Kelix, planModel } from "../src/index.ts";
import { blockVocabulary, languageModelConfig } from "../src/llm/config.ts";
import { generate } from "../src/llm/generate.ts";
import { LanguageModel } from "../src/llm/language-model.ts";
import { openModelAt } from "../src/model/find.node.ts";
import { languageConfig, type OpenedModel } from "../src/model/open.ts";
import { convertModel } from "../src/quantize/convert.ts";
import type { BlockIds } from "../src/sequence/layout.ts";
import { imagesOf } from "../src/text/chat-template.ts";
import { loadText } from "../src/text/load-text.ts";
import { threadSandbox } from "../src/text/sandbox.node.ts";
import { generateAsReference } from "../tools/parity/generate-as-reference.ts";

const folder = "test/released/gqa8/model";
const images = "test/released/gqa8/images";

interface Blocks {
  readonly shape: readonly [number, number];
  readonly ids: readonly number[];
}

interface Expected {
  readonly images: Readonly<Record<string, { readonly shape: readonly [number, number]; readonly codes: number[] }>>;
  readonly conversations: readonly {
    readonly messages: readonly ChatMessage[];
    readonly then?: readonly number[];
    readonly prompt: Blocks;
    readonly greedy: Blocks;
    readonly as_reference: Blocks;
  }[];
}

const expected: Expected = JSON.parse(await readFile("test/released/gqa8/expected.json", "utf8"));

let scratch: string;
let kelix: Kelix;
const warnings: string[] = [];
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "kelix-as-written-"));
  kelix = await Kelix.load(folder, { threads: 1, onWarning: (message) => warnings.push(message) });
});
afterAll(async () => {
  await kelix?.dispose();
  await rm(scratch, { recursive: true, force: true });
});

const codesOf = (image: unknown): Promise<ImageCodes> => kelix.tokenize(join(images, String(image)));

describe("a checkpoint of the reference's writer", () => {
  test("loads without a warning", () => {
    expect(warnings).toEqual([]);
    expect(kelix.info().unknownFields).toEqual([]);
  });

  test.each(Object.entries(expected.images))("gives the reference's codes of %s", async (image, { shape, codes }) => {
    const found = await codesOf(image);
    expect(found.grid[0] * found.grid[1]).toBe(shape[0]);
    expect([...found.codes]).toEqual(codes);
  });

  describe("answers and draws in the reference's blocks", () => {
    let model: LanguageModel;
    let opened: OpenedModel;
    const prompts: BlockIds[] = [];
    beforeAll(async () => {
      opened = await openModelAt(folder);
      const ar = languageConfig(opened);
      model = await LanguageModel.open(languageModelConfig(ar), opened.weights, { threads: 1 });
      const setting = {
        text: await loadText(folderFiles(folder), threadSandbox),
        vocabulary: blockVocabulary(ar.qwen_config),
        room: ar.qwen_config.max_seq_len,
      };
      for (const { messages, then } of expected.conversations) {
        const codes = await Promise.all(imagesOf(messages).map(codesOf));
        prompts.push(conversation(messages, codes, { ...setting, answer: then ?? [] }));
      }
    });
    afterAll(async () => {
      await model?.dispose();
      await opened?.close();
    });

    test.each([...expected.conversations.entries()])("conversation %i", async (i, conversation) => {
      const { prompt, greedy, as_reference } = conversation;
      expect([...prompts[i]!]).toEqual(prompt.ids);
      const options = { temperature: 0, topK: 0, topP: 1, maxNewBlocks: greedy.shape[0] };
      const ids: number[] = [];
      for await (const block of generate(model, model.start(), prompts[i]!, { ...options, blocksPerImage: 12 })) {
        ids.push(...block.ids);
      }
      expect(ids).toEqual(greedy.ids);
      const maxNewBlocks = as_reference.shape[0] - 1;
      const made = await generateAsReference(model, prompts[i]!, maxNewBlocks);
      expect([...made.blocks]).toEqual(as_reference.ids);
    });
  });

  test("describes, imagines and reconstructs", async () => {
    const content = [
      { type: "image", image: join(images, "square.png") },
      { type: "text", text: "What is this?" },
    ] as const;
    let pieces = 0;
    for await (const { type } of kelix.chat([{ role: "user", content }], { maxNewTokens: 4 }))
      if (type !== "end") pieces++;
    expect(pieces).toBeGreaterThan(0);
    const side = 12 * 4; // latents of the transformer's side, four pixels each
    expect(await kelix.imagine("a square", { steps: 1 })).toMatchObject([{ width: side, height: side }]);
    const codes = await codesOf("square.png");
    expect(await kelix.reconstruct(codes, { steps: 1 })).toMatchObject({ width: side, height: side });
  });

  test("converts to a folder that loads and gives the same codes", async () => {
    const target = join(scratch, "int8");
    await convertModel(folder, target, { weights: "int8" });
    const converted = await Kelix.load(target, { threads: 1 });
    const { codes } = await converted.tokenize(join(images, "square.png"));
    expect(codes).toHaveLength(expected.images["square.png"]!.codes.length);
    await converted.dispose();
  });

  test("is described and planned", async () => {
    const info = await inspectModel(folder);
    expect(info).toMatchObject({ faults: [], missingBytes: 0, unknownFields: [], codebooks: 8, codesPerBook: 32 });
    expect(await planModel(folder, machine)).toMatchObject({ faults: [], disk: { missingBytes: 0 } });
  });
});

const machine = {
  cores: 1,
  memory: { totalBytes: 8e9, availableBytes: 8e9 },
  speeds: { flopPerS: 1e11, readBytesPerS: 1e10, quantizedBytesPerS: 1e10, quantizedFlopPerS: 1e11 },
};

describe.each([
  // Q, O, K, V and three matrices of the feed-forward in 36 layers; output matrices and table of V + S rows.
  ["test/released/config-8b", 36 * (4096 * (2 * 4096 + 2 * 1024) + 3 * 4096 * 12_288) + 2 * (151_936 + 65_536) * 4096],
  ["test/released/as-saved", 1000],
])("the full config %s without weights", (path, fewest) => {
  test("is described and planned at the sizes that it declares, and said to lack its weights", async () => {
    // A folder as it would be fetched: nothing but the config.
    const alone = await mkdtemp(join(scratch, "config-"));
    await copyFile(join(path, "config.json"), join(alone, "config.json"));
    const info = await inspectModel(alone);
    expect(info.faults).toEqual([`${alone}: holds no *.safetensors file: its weights are absent`]);
    expect(info.unknownFields).toEqual([]);
    expect(info.parameters.languageModel).toBeGreaterThan(fewest);
    expect(info.parameters.languageModel).toBeLessThan(1.2 * fewest + 1e5);
    const bytes = info.parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    expect(info.missingBytes).toBe(bytes);
    const plan = await planModel(alone, machine);
    expect(plan.disk).toMatchObject({ modelBytes: bytes, missingBytes: bytes });
    expect(plan.faults).toEqual(info.faults);
    await expect(Kelix.load(alone)).rejects.toThrow("its weights are absent");
  });
});
