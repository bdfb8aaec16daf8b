// Weights where a device can get at them: native backends read them from the files by themselves, WASM is handed the bytes.

import { loadBackend } from "#backend";
import type { Device } from "../runtime/backend.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { memoryWeights } from "../runtime/memory-weights.ts";
import type { WeightSource } from "../runtime/session.ts";
import type { Checkpoint } from "./checkpoint.ts";

/**
 * The checkpoint itself, or, for a device without files, all its tensors in memory as float32. Quantised ones too: WASM would
 * widen them again in every run, at 0.3 GB/s (docs/decisions/0004-quantised-weights.md).
 */
export async function weightsFor(device: Device, checkpoint: Checkpoint): Promise<WeightSource> {
  if (checkpoint.isOnDisk && (await loadBackend(device)).readsFiles) return checkpoint;
  const tensors = new Map<string, HostTensor>();
  const names = checkpoint.names().values();
  const work = async () => {
    for (const name of names) tensors.set(name, await checkpoint.read(name));
  };
  await Promise.all(Array.from({ length: 16 }, work)); // at once: of a Blob each read waits for another process
  return memoryWeights(tensors);
}
