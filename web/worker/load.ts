// Opens the model in the worker, and says what the page needs to know of it.

import { Kelix } from "kelix";
import mjs from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url&no-inline";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url&no-inline";
import type { Facts, LoadProgress } from "../backend/backend.ts";
import type { ModelSettings } from "./messages.ts";

/** `onLoad` is told of bytes at most ten times a second. */
export async function loadModel(
  { model, device, threads }: ModelSettings,
  onLoad: (progress: LoadProgress) => void,
): Promise<Kelix> {
  let told = 0;
  return Kelix.load(model, {
    ...(device && { device }),
    threads,
    // WebGPU's build of ONNX Runtime is far larger: beside the page's own files, not among those that are kept for offline use.
    wasmPaths: { mjs, wasm, webgpu: new URL("../ort/", location.href).href },
    onProgress: ({ task, done, total }) => {
      if (task !== "fetch" || (done < total && performance.now() - told < 100)) return;
      told = performance.now();
      onLoad({ done, total });
    },
  });
}

export function factsOf(kelix: Kelix, { model }: ModelSettings): Facts {
  const { can, codebooks, codesPerBook, drawing } = kelix.info();
  return {
    name: model.replace(/\/+$/, "").split("/").at(-1) || model,
    canChat: can.chat,
    canImagine: can.imagine,
    canReconstruct: can.reconstruct,
    codebooks,
    codesPerBook,
    defaults: { ...drawing, maxNewTokens: 256, seed: 0 },
  };
}

/** Opens what reads images and writes answers, so that the first question does not wait for it. What draws is opened with the first image. */
export async function warm(kelix: Kelix): Promise<void> {
  const white = { width: 32, height: 32, data: new Uint8Array(32 * 32 * 3).fill(255) };
  await (kelix.info().can.chat ? kelix.describe(white, { maxNewTokens: 1 }) : kelix.tokenize(white));
}
