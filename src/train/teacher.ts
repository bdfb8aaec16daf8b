// The teacher of the vision stage: EfficientNet-Lite0 (ImageNet) up to stride 16, whose feature map of a 96 x 96 image matches the
// image tokenizer's grid. scripts/convert-teacher.py writes its weights, batch norms folded into the convolutions.

import type { Params } from "../tensor/params.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Channels of the map. */
export const TEACHER_WIDTH = 112;

const STEM = 32;
const stages = [
  { repeats: 1, kernel: 3, stride: 1, expansion: 1, out: 16 },
  { repeats: 2, kernel: 3, stride: 2, expansion: 6, out: 24 },
  { repeats: 2, kernel: 5, stride: 2, expansion: 6, out: 40 },
  { repeats: 3, kernel: 3, stride: 2, expansion: 6, out: 80 },
  { repeats: 3, kernel: 5, stride: 1, expansion: 6, out: TEACHER_WIDTH },
] as const;
/** Levels 0 to 255 are scaled to (level - 127) / 128. */
const [MEAN, SCALE] = [127, 128];

/** pixels [B, 3, h, w] in -1 .. 1 -> [B, 112, h/16, w/16] */
export function teacherMap(p: Params, pixels: Tensor): Tensor {
  const levels = pixels.add(1).mul(127.5);
  let x = relu6(convSame(p.at("stem"), levels.sub(MEAN).div(SCALE), STEM, 3, 2));
  let block = 0;
  for (const { repeats, kernel, stride, expansion, out } of stages) {
    for (let i = 0; i < repeats; i++) {
      x = invertedResidual(p.at("blocks", block++), x, { kernel, stride: i === 0 ? stride : 1, expansion, out });
    }
  }
  return x;
}

interface Block {
  readonly kernel: number;
  readonly stride: number;
  readonly expansion: number;
  readonly out: number;
}

function invertedResidual(p: Params, x: Tensor, { kernel, stride, expansion, out }: Block): Tensor {
  const wide = expansion === 1 ? x : relu6(convSame(p.at("expand"), x, expansion * x.size(1), 1));
  const deep = relu6(convSame(p.at("depthwise"), wide, wide.size(1), kernel, stride, wide.size(1)));
  const y = convSame(p.at("project"), deep, out, 1);
  return stride === 1 && x.size(1) === out ? y.add(x) : y;
}

/** TensorFlow's "same" padding: where the margin is odd, the larger half comes after. */
function convSame(p: Params, x: Tensor, out: number, kernel: number, stride = 1, groups = 1): Tensor {
  const margins = [2, 3].map((axis) => {
    const size = x.size(axis);
    const all = Math.max((Math.ceil(size / stride) - 1) * stride + kernel - size, 0);
    return { axis, before: Math.floor(all / 2), after: Math.ceil(all / 2) };
  });
  const weight = p.get("weight", [out, x.size(1) / groups, kernel, kernel]);
  return x.padAxes(margins).conv2d(weight, p.get("bias", [out]), { stride, padding: 0, groups });
}

function relu6(x: Tensor): Tensor {
  return x.relu().neg().add(6).relu().neg().add(6);
}
