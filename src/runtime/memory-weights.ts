// Tensors in ordinary memory as a source of weights for sessions.

import type { HostTensor } from "./host-tensor.ts";
import { locateWeight, type TensorLocation, type WeightSource } from "./weight-source.ts";

/** Finds tensors by name, a quantised matrix together with its scales; their bytes are used where they lie, without a copy. */
export function memoryWeights(tensors: ReadonlyMap<string, HostTensor>): WeightSource {
  const find = (name: string): TensorLocation | undefined => {
    const tensor = tensors.get(name);
    if (!tensor) return undefined;
    const { buffer, byteOffset, byteLength } = tensor.data;
    return {
      dtype: tensor.dtype,
      shape: tensor.shape,
      data: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength),
    };
  };
  return { find: (name) => locateWeight(name, find) };
}
