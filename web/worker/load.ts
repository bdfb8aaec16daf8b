// Opens the model in the worker, and says what the page needs to know of it.

import { Kelix } from "kelix";
import mjs from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url&no-inline";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url&no-inline";
import type { Facts, LoadProgress, Sampling } from "../backend/backend.ts";
import type { ModelSettings } from "./messages.ts";

/** `onLoad` is told of bytes at most ten times a second. */
export async function loadModel(
  { model, device, threads }: ModelSettings,
  onLoad: (progress: LoadProgress) => void,
): Promise<Kelix> {
  let told = 0;
  return Kelix.load(model, {
    device,
    threads,
    // WebGPU has files of its own, which the bundle finds by itself.
    ...(device === "wasm" && { wasmPaths: { mjs, wasm } }),
    onProgress: ({ task, done, total }) => {
      if (task !== "fetch" || (done < total && performance.now() - told < 100)) return;
      told = performance.now();
      onLoad({ done, total });
    },
  });
}

export async function factsOf(kelix: Kelix, { model }: ModelSettings): Promise<Facts> {
  const { parameters, codebooks, codesPerBook, vocabulary } = kelix.info();
  return {
    name: nameOf(model),
    canChat: vocabulary > 0,
    canImagine: kelix.canImagine,
    canReconstruct: parameters.diffusionTransformer > 0 && parameters.autoencoder > 0,
    codebooks,
    codesPerBook,
    defaults: await readDefaults(model),
  };
}

function nameOf(model: string): string {
  return model.replace(/\/+$/, "").split("/").at(-1) || model;
}

/** What generation_config.json says, where the model is a folder that the page can read. */
async function readDefaults(model: string): Promise<Sampling> {
  const known = { maxNewTokens: 256, seed: 0 };
  try {
    const url = new URL("generation_config.json", model.endsWith("/") ? model : `${model}/`);
    const { imagine = {} } = (await (await fetch(url)).json()) as { imagine?: Record<string, number> };
    const { steps, guidance, temperature, top_p: topP, top_k: topK } = imagine;
    return { ...known, steps, guidance, temperature, topP, topK };
  } catch {
    return known;
  }
}
