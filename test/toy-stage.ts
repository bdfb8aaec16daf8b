// A stage small enough for tests of the training loop: fits a two-layer network to a fixed function.

import { linear } from "../src/nn/linear.ts";
import { counterRandom } from "../src/random/counter.ts";
import { f32 } from "../src/runtime/host-tensor.ts";
import type { Stage } from "../src/train/stage.ts";

const ROWS = 16;

export function openToyStage(seed: number): Stage {
  return {
    losses: {
      fit: (graph) => {
        const hidden = linear(graph.params.at("first"), graph.input("x", [ROWS, 3]), 8).silu();
        const difference = linear(graph.params.at("second"), hidden, 1).sub(graph.input("y", [ROWS, 1]));
        return { loss: difference.square().mean([0, 1]) };
      },
    },
    async batch(step) {
      const x = counterRandom(seed, "toy")
        .fork(step)
        .fillNormal(new Float32Array(ROWS * 3));
      const y = Float32Array.from({ length: ROWS }, (_, i) => 3 * Math.sin(x[3 * i]!) + x[3 * i + 1]!);
      return { loss: "fit", tokens: ROWS, feeds: { x: f32(x, [ROWS, 3]), y: f32(y, [ROWS, 1]) } };
    },
  };
}
