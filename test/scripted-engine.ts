// An engine whose answers a test writes: it holds the HTTP side to what it does with events, whatever a model would say.

import { Registry } from "prom-client";
import type { Engine, EngineEvent, EngineRequest, EngineState, ModelCard, RunOptions } from "../src/server/protocol.ts";

export type Script = (request: EngineRequest, options: RunOptions) => AsyncIterable<EngineEvent>;

export const usage = {
  promptTokens: 12,
  cachedPromptTokens: 5,
  completionTokens: 3,
  imagesIn: 0,
  cachedImages: 0,
  imagesOut: 0,
};
export const end = { type: "end", finishReason: "stop", usage } as const;
export const card: ModelCard = {
  id: "toy",
  created: 1_700_000_000,
  facts: {
    context: 1024,
    grid: [6, 6],
    imageSize: [96, 96],
    drawing: { steps: 12, guidance: 2.5, temperature: 1, topK: 0, topP: 0.8 },
    canChat: true,
    canImagine: true,
    canReconstruct: true,
    canEmbed: true,
    codebooks: 8,
    codesPerBook: 256,
    width: 3,
  },
};

export class ScriptedEngine implements Engine {
  readonly models = [card];
  readonly ready = Promise.resolve();
  readonly registry = new Registry();
  state: EngineState = "ready";
  /** What was asked for, in order. */
  readonly requests: EngineRequest[] = [];
  readonly options: RunOptions[] = [];
  script: Script;

  constructor(script: Script = says("Hello", " there")) {
    this.script = script;
  }

  async *run(request: EngineRequest, options: RunOptions): AsyncGenerator<EngineEvent, void, void> {
    this.requests.push(request);
    this.options.push(options);
    options.signal?.throwIfAborted();
    yield* this.script(request, options);
  }

  async close(): Promise<void> {
    this.state = "draining";
  }
}

/** Answers with these texts. */
export function says(...texts: readonly string[]): Script {
  return async function* () {
    for (const text of texts) yield { type: "text", text };
    yield end;
  };
}

/** Answers with these events. */
export function gives(...events: readonly EngineEvent[]): Script {
  return async function* () {
    yield* events;
  };
}
