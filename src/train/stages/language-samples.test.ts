import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readJson } from "../../checkpoint/json-file.ts";
import { sampleSceneQuestion } from "../../eval/suites/scenes.ts";
import { fileAt, folderFiles } from "../../files/folder.node.ts";
import { Kelix } from "../../kelix.ts";
import { languageModelConfig, parseKeyeArConfig } from "../../llm/config.ts";
import { LanguageModel } from "../../llm/language-model.ts";
import { TextTokenizer } from "../../text/tokenizer.ts";
import { BatchTokenizer } from "../batch-tokenizer.ts";
import { RowWriter } from "../data/rows.ts";
import { Samples } from "../data/samples.ts";
import { drawScene } from "../data/scenes.ts";
import { openCheckpointAt } from "../open-checkpoint.ts";
import { showAnswers } from "./language-samples.ts";

test("a stage measures its language model by the suites of `kelix eval` for the kinds that it asks about", async () => {
  const nano = "models/kelix-nano";
  const folder = await mkdtemp(join(tmpdir(), "kelix-answers-"));
  const ar = parseKeyeArConfig(await readJson(...fileAt(join(nano, "config.json"))), nano);
  const weights = await openCheckpointAt(nano);
  const model = await LanguageModel.open(languageModelConfig(ar), weights, { threads: 1 });
  const tokenizer = await BatchTokenizer.open(ar.tokenizer_config, weights, 1, 1);
  const text = await TextTokenizer.load(folderFiles(nano));
  const parts = {
    samples: await Samples.open({ cache: folder, side: 96, kinds: ["scene"], own: undefined }),
    ...{ tokenizer, text, writer: new RowWriter(text, tokenizer.positions), length: 124 },
    ...{ kinds: ["scene"] as const, cacheFolder: folder },
  };
  const numbers = await showAnswers(model, parts, join(folder, "answers.md"));
  expect(Object.keys(numbers)).toEqual(["scenes.accuracy", "scenes.open", "scenes.yesNo"]);
  // The table shows every second question; the answers are those of the whole model.
  const lines = (await readFile(join(folder, "answers.md"), "utf8")).split("\n").slice(2);
  const kelix = await Kelix.load(nano, { threads: 1 });
  for (const [i, index] of [0, 2, 4].entries()) {
    const { scene, question, answer } = sampleSceneQuestion(0, index);
    const said = await kelix.describe(drawScene(scene), { prompt: question, temperature: 0, maxNewTokens: 24 });
    expect(lines[i]).toContain(`| ${question} | ${said} (${answer}) |`);
  }
  await kelix.dispose();
  await Promise.all([model.dispose(), tokenizer.release()]);
  await weights.close();
  await rm(folder, { recursive: true });
});
