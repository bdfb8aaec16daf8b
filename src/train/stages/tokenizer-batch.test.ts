import { readFile } from "node:fs/promises";
import { beforeAll, expect, test } from "vitest";
import { folderFiles } from "../../files/folder.node.ts";
import { type KeyeArConfig, parseKeyeArConfig } from "../../llm/config.ts";
import { counterRandom } from "../../random/counter.ts";
import { f32 } from "../../runtime/host-tensor.ts";
import { memoryWeights } from "../../runtime/memory-weights.ts";
import { openSession } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import { TextTokenizer } from "../../text/tokenizer.ts";
import { type EncodedRow, RowWriter } from "../data/rows.ts";
import { ParameterStore, valuesOf } from "../parameter-store.ts";
import { answerFeeds } from "./tokenizer-batch.ts";
import { type AnswerSizes, traceAnswers } from "./tokenizer-graph.ts";

const [POSITIONS, WIDTH, IMAGES] = [9, 32, 4];
let config: KeyeArConfig;
let writer: RowWriter;
let conversations: EncodedRow[];

beforeAll(async () => {
  const { model } = JSON.parse(await readFile("configs/nano/tokenizer-start.json", "utf8"));
  Object.assign(model.config.qwen_config, { embed_dim: WIDTH, num_layers: 2, intermediate_dim: 48 });
  model.config.token_decoder_config.input_dim = WIDTH;
  config = parseKeyeArConfig(model.config);
  writer = new RowWriter(await TextTokenizer.load(folderFiles("models/kelix-nano")), POSITIONS);
  const answers = ["a cat", "two red circles and a green square", "K", "three"];
  conversations = answers.map((answer) => writer.understanding([{ question: "What is this?", answer }], 64));
});

/** The loss of the conversations about images of random embeddings, and the most likely ids. */
async function lossOf(sizes: AnswerSizes): Promise<{ loss: number; predicted: number[]; rows: number }> {
  const graph = new Graph();
  const embeddings = counterRandom(1, "embeddings").fillNormal(new Float32Array(IMAGES * POSITIONS * WIDTH));
  const shape = [IMAGES * POSITIONS, WIDTH];
  graph.output("loss", traceAnswers(graph, { config }, sizes, graph.input("embeddings", shape)));
  const store = new ParameterStore(graph.parameters.values());
  store.initialize(counterRandom(2, "init"));
  const session = await openSession(graph, memoryWeights(valuesOf(store)));
  const feeds = answerFeeds(conversations, writer.padId, { config }, sizes);
  const results = await session.run({ ...feeds, embeddings: f32(embeddings, shape) });
  await session.release();
  const used = (feeds.weights!.data as Float32Array).filter((weight) => weight > 0).length;
  const predicted = Array.from(results.predicted!.data as Int32Array, Number).slice(0, used);
  return { loss: Number(results.loss!.data[0]), predicted: predicted.sort(), rows: feeds.ids!.shape[0]! };
}

test("packed conversations are read and scored as in rows of their own", async () => {
  const sizes = { batch: IMAGES, length: 80, answers: 40 };
  const alone = await lossOf(sizes);
  const packed = await lossOf({ ...sizes, packedRows: 2 });
  expect([alone.rows, packed.rows]).toEqual([IMAGES, 2]);
  expect(packed.predicted).toEqual(alone.predicted);
  expect(packed.loss).toBeCloseTo(alone.loss, 5);
});

test("conversations that find no room in packed rows are left out, and the mean is over the others", async () => {
  const all = conversations;
  const longest = [...all].sort((a, b) => b.ids.length - a.ids.length)[0]!;
  const length = longest.ids.length;
  conversations = [longest, ...all.filter((one) => one !== longest)];
  const packed = await lossOf({ batch: IMAGES, length, packedRows: 1, answers: 40 });
  conversations = [longest];
  const alone = await lossOf({ batch: 1, length, answers: 40 });
  conversations = all;
  expect(packed.predicted).toEqual(alone.predicted);
  expect(packed.loss).toBeCloseTo(alone.loss, 5);
});
