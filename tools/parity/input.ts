// Tensors that a golden folder must hold.

import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import type { GoldenFolder } from "./case.ts";

/** The tensor of inputs.safetensors named `name`; throws where there is none. */
export function input(folder: GoldenFolder, name: string): HostTensor {
  const found = folder.inputs.get(name);
  if (!found) throw new Error(`${folder.dir}: inputs.safetensors has no tensor ${name}`);
  return found;
}

/** Its values as plain numbers, whatever the type. */
export function numbers(tensor: HostTensor): number[] {
  return Array.from(tensor.data as ArrayLike<number | bigint>, Number);
}
