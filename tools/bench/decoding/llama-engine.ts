// llama.cpp as an engine, through node-llama-cpp. It is not a dependency of this project: the benchmark fetches it into the cache
// when it is first wanted.

import { rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { makeFolder } from "../../../src/hub/make-folder.ts";
import { installPackages } from "../../../src/train/data/npm.ts";
import type { DecodingEngine, Task } from "./engine.ts";

export const LLAMA_VERSION = "3.22.1";

/** What is used of node-llama-cpp. */
interface LlamaModule {
  getLlama(options: Readonly<Record<string, unknown>>): Promise<{
    loadModel(options: Readonly<Record<string, unknown>>): Promise<LlamaModel>;
    dispose(): Promise<void>;
  }>;
}

interface LlamaModel {
  createContext(options: Readonly<Record<string, unknown>>): Promise<{ getSequence(): LlamaSequence }>;
}

interface LlamaSequence {
  evaluate(tokens: readonly number[], options: Readonly<Record<string, unknown>>): AsyncGenerator<number, void, void>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
  clearHistory(): Promise<void>;
}

/** Fetches node-llama-cpp with its binaries for this machine's processor, once; returns the folder. */
export async function installLlama(cache: string, log: (line: string) => void): Promise<string> {
  const folder = join(cache, "packages", `node-llama-cpp-${LLAMA_VERSION}`);
  if (await stat(folder).catch(() => undefined)) return folder;
  log(`fetching node-llama-cpp@${LLAMA_VERSION}`);
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  await makeFolder(partial);
  // Its optional dependencies are binaries for every machine there is, some with CUDA: only the one for this is wanted.
  const packages = ["node-llama-cpp", `@node-llama-cpp/${binaries()}`].map((name) => `${name}@${LLAMA_VERSION}`);
  await installPackages(partial, packages, ["--omit=optional"]);
  await rename(partial, folder);
  return folder;
}

function binaries(): string {
  const { platform, arch } = process;
  if (platform === "darwin") return arch === "arm64" ? "mac-arm64-metal" : "mac-x64";
  return `${platform === "win32" ? "win" : "linux"}-${arch}`;
}

export interface LlamaSettings {
  readonly threads: number;
  readonly task: Task;
  /** Tokens that a context must hold. */
  readonly room: number;
}

/** Opens a GGUF file. Flash attention is slower for single tokens and faster for many: each task has its better setting. */
export async function openLlamaEngine(
  folder: string,
  file: string,
  { threads, task, room }: LlamaSettings,
): Promise<DecodingEngine> {
  const entry = join(folder, "node_modules", "node-llama-cpp", "dist", "index.js");
  const { getLlama } = (await import(pathToFileURL(entry).href)) as LlamaModule;
  // "error": its warnings are about the dummy vocabulary.
  const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: "error" });
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0, ignoreMemorySafetyChecks: true });
  const context = await model.createContext({
    contextSize: room,
    batchSize: Math.min(room, 512),
    threads,
    flashAttention: task !== "decode",
    ignoreMemorySafetyChecks: true,
  });
  const sequence = context.getSequence();
  return {
    async read(tokens) {
      await sequence.clearHistory();
      await sequence.evaluateWithoutGeneratingNewTokens(tokens);
    },
    async *answer(tokens, count) {
      await sequence.clearHistory();
      let written = 0;
      for await (const token of sequence.evaluate(tokens, { temperature: 0, yieldEogToken: true })) {
        yield token;
        if (++written === count) break;
      }
    },
    release: () => llama.dispose(),
  };
}
