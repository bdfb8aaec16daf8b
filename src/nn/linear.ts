// A linear map with the checkpoint's usual names: weight [out, in], bias [out].

import { type Init, init, type Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** x [.., in] -> [.., out], with the graph's adapter, if it has one. Starts as LeCun normal with zero bias unless `initial` says otherwise. */
export function linear(p: Params, x: Tensor, out: number, hasBias = true, initial?: Init): Tensor {
  const width = x.size(-1);
  const weight = p.get("weight", [out, width], initial ?? init.lecun(width));
  const y = x.linear(weight, hasBias ? p.get("bias", [out], init.zeros) : null);
  return p.adaptLinear?.(p, x, y) ?? y;
}
