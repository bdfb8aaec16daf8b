// Feed-forward layers with the names of the vision encoder (w1, w2 with biases) and of Qwen3 (w1, w3, w2 without).

import { init, type Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { linear } from "./linear.ts";

const ACTIVATIONS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  silu: (x) => x.silu(),
  swish: (x) => x.silu(),
  gelu: (x) => x.gelu(),
  gelu_pytorch_tanh: (x) => x.geluTanh(),
  gelu_new: (x) => x.geluTanh(),
  relu: (x) => x.relu(),
};

/** The activation a config names. A name it does not know means tanh-GELU, as it does to the reference. */
export function activation(name: string): (x: Tensor) => Tensor {
  return Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name]! : (x) => x.geluTanh();
}

/** w2(act(w1 x)) with biases. x [.., D] -> [.., D], through a hidden width of F. */
export function mlp(p: Params, x: Tensor, F: number, act: (x: Tensor) => Tensor): Tensor {
  const D = x.size(-1);
  const hidden = act(linear(p.at("w1"), x, F, true, init.xavier(D, F)));
  return linear(p.at("w2"), hidden, D, true, init.xavier(F, D));
}

/** w2(silu(w1 x) * w3 x) without biases. x [.., D] -> [.., D], through a hidden width of F. */
export function swiglu(p: Params, x: Tensor, F: number): Tensor {
  const D = x.size(-1);
  const wide = (name: string) => linear(p.at(name), x, F, false, init.xavier(D, F));
  return linear(p.at("w2"), wide("w1").silu().mul(wide("w3")), D, false, init.xavier(F, D));
}
