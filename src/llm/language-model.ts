// The language model ready to run: the trunk with its cache as one session (prefill and single steps are the same graph),
// what scores the next block as others. Its sequences read and write; its scheduler runs them together.

import { disposedError } from "../errors.ts";
import { openSession, type Session, type SessionOptions, type WeightSource } from "../runtime/session.ts";
import type { BlockVocabulary } from "../sequence/layout.ts";
import { Graph } from "../tensor/graph.ts";
import { blockVocabulary, type LanguageModelConfig } from "./config.ts";
import { type GenerationPart, type GraphTrace, generationGraphs, type MatrixName } from "./generation-graphs.ts";
import { Scheduler, usualArenaBytes } from "./scheduler.ts";
import { Sequence } from "./sequence.ts";

export interface LanguageModelOptions extends SessionOptions {
  /** What the working copies of the sequences' keys and values may take; see Scheduler. */
  readonly arenaBytes?: number;
}

export class LanguageModel {
  readonly config: LanguageModelConfig;
  readonly vocabulary: BlockVocabulary;
  /** Blocks that one run of its sequences reads at most, unless ReadOptions say otherwise. */
  readonly blocksPerRun: number;
  readonly scheduler: Scheduler;
  readonly #open: (graph: Graph, part: string) => Promise<Session>;
  readonly #matrix: MatrixName;
  readonly #adaptLinear: WeightSource["adaptLinear"];
  readonly #sessions = new Map<string, Promise<Session>>();
  #isDisposed = false;

  private constructor(config: LanguageModelConfig, weights: WeightSource, options: LanguageModelOptions) {
    this.config = config;
    this.vocabulary = blockVocabulary(config.qwen);
    this.blocksPerRun = options.widening === "run" ? BLOCKS_PER_WIDENING_RUN : BLOCKS_PER_RUN;
    this.#open = (graph, part) => openSession(graph, weights, { ...options, network: `language model: ${part}` });
    this.#adaptLinear = weights.adaptLinear;
    this.#matrix = weights.find("model.model.output.weight") ? "output" : "lmHead";
    this.scheduler = new Scheduler(this, options.arenaBytes ?? usualArenaBytes(config.qwen));
  }

  /** Opens the trunk; the parts of the head are opened when they are first used. Throws when weights are missing. */
  static async open(
    config: LanguageModelConfig,
    weights: WeightSource,
    options: LanguageModelOptions = {},
  ): Promise<LanguageModel> {
    const model = new LanguageModel(config, weights, options);
    await model.session("trunk");
    return model;
  }

  /** A new, empty sequence. Those of one model share runs: see Scheduler. */
  start(): Sequence {
    return new Sequence(this);
  }

  /** Frees the sessions. Sequences of this model cannot be used any more. */
  async dispose(): Promise<void> {
    this.#isDisposed = true;
    const sessions = [...this.#sessions.values()].map((session) => session.catch(() => undefined));
    this.#sessions.clear();
    await Promise.all(sessions.map(async (session) => (await session)?.release()));
  }

  /** The session of one part, opened on first use; for a graph that is none of generation's `trace` makes it. */
  async session(part: string, trace: GraphTrace = generationGraphs[part as GenerationPart]): Promise<Session> {
    if (this.#isDisposed) throw disposedError();
    let session = this.#sessions.get(part);
    if (!session) {
      const graph = new Graph();
      graph.adaptLinear = this.#adaptLinear;
      trace(graph, this.config, this.#matrix);
      session = this.#open(graph, part);
      this.#sessions.set(part, session);
    }
    return session;
  }
}

/** Blocks that one run reads at most: an abort waits for no more than that, and attention needs memory for its square. */
export const BLOCKS_PER_RUN = 128;
/** Where every run widens all weights anew, which takes as long as reading hundreds of blocks: few runs, long ones. */
const BLOCKS_PER_WIDENING_RUN = 1024;
