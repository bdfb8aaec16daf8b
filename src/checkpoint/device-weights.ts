// Weights where a device can get at them: native backends read them from the files by themselves, WASM is handed the bytes.

import { loadBackend } from "#backend";
import type { Device, WeightLocation, WeightSource } from "../runtime/session.ts";
import type { Checkpoint } from "./checkpoint.ts";

/** The checkpoint itself, or, for a device without files, all its floating-point tensors in memory as float32. */
export async function weightsFor(device: Device, checkpoint: Checkpoint): Promise<WeightSource> {
  if ((await loadBackend(device)).readsFiles) return checkpoint;
  const tensors = new Map<string, WeightLocation>();
  for (const name of checkpoint.names()) {
    const { shape, data } = await checkpoint.read(name);
    tensors.set(name, { dtype: "f32", shape, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) });
  }
  return { find: (name) => tensors.get(name) };
}
