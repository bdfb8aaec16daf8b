// Tensors in ordinary memory as a source of weights for sessions.

import type { HostTensor } from "./host-tensor.ts";
import type { WeightSource } from "./session.ts";

/** Finds tensors by name; their bytes are used where they lie, without a copy. */
export function memoryWeights(tensors: ReadonlyMap<string, HostTensor>): WeightSource {
  return {
    find(name) {
      const tensor = tensors.get(name);
      if (!tensor) return undefined;
      const { buffer, byteOffset, byteLength } = tensor.data;
      return {
        dtype: tensor.dtype,
        shape: tensor.shape,
        data: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength),
      };
    },
  };
}
