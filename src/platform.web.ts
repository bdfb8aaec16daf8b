// The platform port in a browser: files over HTTP, from a list or the Hub; canvas for images; a fixed budget of memory.

import type { Checkpoint } from "./checkpoint/checkpoint.ts";
import { InputError, MemoryError, quote } from "./errors.ts";
import { openHub, openUrl } from "./files/http.ts";
import { parseHubName } from "./files/hub-name.ts";
import { givenFiles } from "./files/memory.ts";
import { publicUrl } from "./files/safe-url.ts";
import { decodeImage, encodeImage } from "./image/codec.web.ts";
import { loadImageWith } from "./image/load-image.ts";
import type { OpenedModel } from "./model/open.ts";
import type { MemoryGuard, Platform } from "./platform.ts";
import { threadCount } from "./runtime/backend.web.ts";
import { countElements } from "./runtime/host-tensor.ts";
import { sessionMemory } from "./runtime/session-memory.ts";
import { steppedSandbox } from "./text/sandbox.web.ts";
import { encodingGraph } from "./vision/image-tokenizer.ts";

/** Of WebAssembly's 4 GiB, what weights and results may take together. */
const BUDGET_BYTES = 3.5 * 2 ** 30;
/** What one run of the networks that draw holds: see DECODE_BYTES. */
const DRAWING_BYTES = 1e9;
const FLOAT_BYTES = 4;

export const platform: Platform = {
  defaultModel() {
    throw new InputError(
      'A browser has no built-in models: name one, as Kelix.load("https://HOST/kelix-nano/"), a repository of the Hub (owner/name), or a list of its files',
      { code: "model_not_found" },
    );
  },
  async openFiles(source, options) {
    if (typeof source === "object" && Symbol.iterator in source) return givenFiles(source);
    const hubName = typeof source === "string" ? parseHubName(source) : undefined;
    if (hubName) return openHub(hubName, options);
    const isNamed = typeof source === "string" || Object.prototype.toString.call(source) === "[object URL]";
    if (isNamed && URL.canParse(String(source), globalThis.location?.href)) {
      const url = new URL(source, globalThis.location?.href);
      if (/^https?:$/.test(url.protocol)) return openUrl(url, options);
    }
    const shown = quote(isNamed ? publicUrl(source) : source);
    throw new InputError(
      `Expected a model as the URL of its folder, a repository of the Hub (owner/name), or a list of its files, got ${shown}`,
      { code: "model_not_found" },
    );
  },
  loadImage: (input, options) => loadImageWith({ decode: decodeImage, readPath, explain }, input, options),
  encodeImage,
  guardMemory,
  templates: steppedSandbox,
  async describeMachine(settings) {
    return { threads: threadCount(settings), system: "browser" };
  },
};

async function readPath(path: string | URL): Promise<URL> {
  const base = globalThis.location?.href;
  if (typeof path === "string" && URL.canParse(path, base)) return new URL(path, base);
  throw new InputError(`${quote(String(path))}: a browser reads no paths of the disk; pass a File or a URL`, {
    code: "invalid_image",
  });
}

function explain(cause: unknown) {
  const reason = "no answer, or one that this page may not read (another origin needs CORS headers)";
  return { reason, canRetry: true, cause: cause instanceof Error ? cause : new Error(String(cause)) };
}

async function guardMemory(model: OpenedModel, ignoreMemory: boolean): Promise<MemoryGuard> {
  const check = (what: string, needed: number) => {
    if (ignoreMemory || needed <= BUDGET_BYTES) return;
    throw new MemoryError(
      `${model.path} needs about ${(needed / 1e9).toFixed(1)} GB to ${what}, and WebAssembly has ${(BUDGET_BYTES / 1e9).toFixed(1)} GB. To try all the same: \`ignoreMemory\``,
      needed,
      BUDGET_BYTES,
    );
  };
  const held = floatBytes(model.weights);
  check("be loaded", held);
  return {
    widening: "load",
    async checkPositions(M) {
      check(
        `read an image of ${M} positions`,
        held + sessionMemory(encodingGraph(model.tokenizer), model.weights, "load", { M }).runBytes,
      );
    },
    async checkDrawing(source) {
      const { [source]: transformer, autoencoder } = model.detokenizer;
      const parts = [transformer, autoencoder].map((part) => (part ? floatBytes(part.weights) : 0));
      check("draw an image", held + parts[0]! + parts[1]! + DRAWING_BYTES);
    },
  };
}

/** WebAssembly holds every weight in float32. */
function floatBytes(weights: Checkpoint): number {
  return weights.names().reduce((sum, name) => sum + FLOAT_BYTES * countElements(weights.find(name)!.shape), 0);
}
