// The work of one answer and of one image, as runs of their graphs. Costs come from the traced
// graphs (graph-cost.ts, runtime/session-memory.ts), so a plan follows the model code automatically.

import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { type DecodePart, decodeGraph, planDecode } from "../detokenizer/decode-plan.ts";
import { connectorGraph, memoryGraph, velocityGraph, withNullLength } from "../detokenizer/denoiser.ts";
import { cacheCapacity } from "../llm/cache.ts";
import { languageModelConfig } from "../llm/config.ts";
import { generationGraphs } from "../llm/generation-graphs.ts";
import { BLOCKS_PER_RUN } from "../llm/language-model.ts";
import { sequencesTogether } from "../llm/scheduler.ts";
import { outputMatrices } from "../model/declare.ts";
import { chooseDetokenizer } from "../model/drawing.ts";
import { languageConfig, type OpenedModel } from "../model/open.ts";
import type { Source } from "../model/parts.ts";
import type { Sizes } from "../tensor/dims.ts";
import { Graph } from "../tensor/graph.ts";
import { encodingGraph } from "../vision/image-tokenizer.ts";

/** Runs of one session with equal cost. */
export interface Work {
  /** Its purpose, in words. */
  readonly what: string;
  /** Work of the same session shares its weights. */
  readonly session: string;
  readonly weights: Checkpoint;
  readonly graph: Graph;
  readonly sizes: Sizes;
  readonly runs: number;
}

export interface Task {
  readonly works: readonly Work[];
  /** Bytes of the KV cache at the end. */
  readonly cacheBytes: number;
}

/** One image question: positions in, mostly the image's, and tokens out. */
const QUESTION = { image: 360, text: 40, answer: 32 } as const;
/** Positions of a prompt with its chat template. */
const PROMPT = 24;

/** Answering one question about one image; a small model's image has fewer positions. */
export function answerTask(model: OpenedModel): Task {
  const M = usualPositions(model);
  const asked = M + QUESTION.text;
  const trunk = languageWork(model, "trunk");
  const works = [
    tokenizeWork(model, M),
    ...prefill(asked, trunk, "read the question"),
    trunk("write the answer", { S: 1, C: asked + QUESTION.answer / 2 }, QUESTION.answer),
    languageWork(model, "text")("write the answer", {}, QUESTION.answer),
  ];
  return withCache(model, works, asked + QUESTION.answer);
}

/** As many such answers at once as the scheduler has slots: each keeps its keys and values, besides the copies in the slots. */
export function answersTask(model: OpenedModel): Task & { readonly count: number } {
  const one = answerTask(model);
  const { qwen_config: qwen } = languageConfig(model);
  const positions = usualPositions(model) + QUESTION.text + QUESTION.answer;
  const count = sequencesTogether(qwen, positions);
  const [trunk, text] = [languageWork(model, "trunk", count), languageWork(model, "text", count)];
  const works = [
    ...one.works,
    trunk("write the answers", { S: 1, C: cacheCapacity(positions) }, QUESTION.answer),
    text("write the answers", {}, QUESTION.answer),
  ];
  return { works, cacheBytes: count * one.cacheBytes, count };
}

/** Tokenizing one image with this many positions; by default as in a question. */
export function tokenizeTask(model: OpenedModel, M = usualPositions(model)): Task {
  return { works: [tokenizeWork(model, M)], cacheBytes: 0 };
}

/** Positions of an image in a question; fewer for a small model. */
export function usualPositions({ preprocessor }: OpenedModel): number {
  const side = preprocessor.patch_size * preprocessor.merge_size;
  return Math.min(QUESTION.image, Math.max(1, Math.floor(preprocessor.max_pixels / side ** 2)));
}

function tokenizeWork({ tokenizer, weights }: OpenedModel, M: number): Work {
  const graph = encodingGraph(tokenizer);
  return { what: "read the image", session: "image tokenizer", weights, graph, sizes: { M }, runs: 1 };
}

/** Writing the codes of one image for a prompt. */
export function writingTask(model: OpenedModel): Task {
  const { grid } = model.generation.imagine;
  const positions = grid[0] * grid[1];
  const trunk = languageWork(model, "trunk");
  const works = [
    ...prefill(PROMPT, trunk, "read the prompt"),
    trunk("write codes", { S: 1, C: PROMPT + positions / 2 }, positions + 1),
    languageWork(model, "image")("write codes", { k: 1 }, positions),
  ];
  return withCache(model, works, PROMPT + positions + 1);
}

/**
 * Drawing one image, from the language model's hidden states or from codes alone. Throws like chooseDetokenizer if the
 * model cannot draw.
 */
export function drawingTask(model: OpenedModel, source: Source, codeGrid: readonly [number, number]): Task {
  const { steps, guidance } = model.generation[source === "hidden" ? "imagine" : "reconstruct"];
  const { transformer, autoencoder, settingsFor } = chooseDetokenizer(model, source);
  const settings = settingsFor(codeGrid);
  const config = withNullLength(transformer.config, transformer.weights);
  const entries = codeGrid[0] * codeGrid[1] + (source === "hidden" ? 2 : 0);
  const L = settings.maxConditionLength ?? entries;
  const B = guidance === 1 ? 1 : 2;
  const { weights } = transformer;
  const velocity = velocityGraph(config, settings.latentGrid);
  const { whole, rest } = planDecode(autoencoder.config, settings.latentGrid);
  const decode = (part: DecodePart, session: string, runs: number): Work => {
    const graph = decodeGraph(autoencoder.config, part);
    return { what: "decode", session, weights: autoencoder.weights, graph, sizes: {}, runs };
  };
  const works: Work[] = [
    ...(config.useConnector && source === "hidden"
      ? [
          {
            what: "condition",
            session: "connector",
            weights,
            graph: connectorGraph(config),
            sizes: { L: entries },
            runs: 1,
          },
        ]
      : []),
    { what: "condition", session: "condition", weights, graph: memoryGraph(config), sizes: { B, L }, runs: 1 },
    { what: "draw", session: "diffusion transformer", weights, graph: velocity, sizes: { B, L }, runs: steps },
    decode(whole, "autoencoder", 1),
    ...(rest ? [decode(rest.part, "autoencoder, in bands", rest.bands.length)] : []),
  ];
  return { works, cacheBytes: 0 };
}

type LanguageWork = (what: string, sizes: Sizes, runs: number) => Work;

/** Runs of one of the language model's graphs, traced once, for B sequences together. */
function languageWork(model: OpenedModel, part: keyof typeof generationGraphs, B = 1): LanguageWork {
  const { weights } = model;
  const ar = languageConfig(model);
  const graph = new Graph();
  generationGraphs[part](graph, languageModelConfig(ar), weights.find(outputMatrices[0]) ? "output" : "lmHead");
  return (what, sizes, runs) => ({
    what,
    session: `language model: ${part}`,
    weights,
    graph,
    sizes: { B, R: B * (sizes.S ?? 1), ...sizes },
    runs,
  });
}

/** Reading T blocks in runs of bounded length. */
function prefill(T: number, trunk: LanguageWork, what: string): Work[] {
  const starts = Array.from({ length: Math.ceil(T / BLOCKS_PER_RUN) }, (_, i) => i * BLOCKS_PER_RUN);
  return starts.map((start) => trunk(what, { S: Math.min(BLOCKS_PER_RUN, T - start), C: Math.max(start, 1) }, 1));
}

function withCache(model: OpenedModel, works: readonly Work[], positions: number): Task {
  const { num_layers, num_kv_heads, head_dim } = languageConfig(model).qwen_config;
  return { works, cacheBytes: positions * num_layers * 2 * num_kv_heads * head_dim * 4 };
}
