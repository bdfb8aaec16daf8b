import { describe, expect, test } from "vitest";
import { counterRandom } from "../random/counter.ts";
import { f32 } from "../runtime/host-tensor.ts";
import { init } from "../tensor/params.ts";
import { AdamW } from "./adamw.ts";
import { ParameterStore } from "./parameter-store.ts";

const declared = [
  { path: "a", shape: [5, 3], init: init.normal(1) },
  { path: "b", shape: [7], init: init.normal(1) },
  { path: "idle", shape: [4], init: init.ones },
];

/** PyTorch's AdamW written plainly, in float64. */
function plainAdamW(
  p: number[],
  g: number[],
  state: { m: number[]; v: number[] },
  k: number,
  lr: number,
  wd: number,
): void {
  const [b1, b2, eps] = [0.9, 0.95, 1e-8];
  for (let i = 0; i < p.length; i++) {
    state.m[i] = b1 * state.m[i]! + (1 - b1) * g[i]!;
    state.v[i] = b2 * state.v[i]! + (1 - b2) * g[i]! ** 2;
    p[i]! *= 1 - lr * wd;
    p[i]! -= (lr * (state.m[i]! / (1 - b1 ** k))) / (Math.sqrt(state.v[i]! / (1 - b2 ** k)) + eps);
  }
}

describe("AdamW", () => {
  test("follows the plain formula over several steps and leaves parameters without a gradient alone", () => {
    const store = new ParameterStore(declared);
    store.initialize(counterRandom(1, "init"));
    const optimizer = new AdamW(
      store,
      { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1, decays: (path) => path === "a" },
      (path) => path !== "idle",
    );
    const plain = new Map(
      ["a", "b"].map((path) => [path, { p: [...store.view("values", path)], m: [] as number[], v: [] as number[] }]),
    );
    for (const state of plain.values()) for (const list of [state.m, state.v]) list.push(...state.p.map(() => 0));
    for (let k = 1; k <= 5; k++) {
      for (const [path, state] of plain) {
        const g = state.p.map((_, i) => counterRandom(k, path).normal(i));
        store.set("gradients", path, f32(g, store.parameters.get(path)!.shape));
        plainAdamW(state.p, g, state, k, 0.01, path === "a" ? 0.1 : 0);
      }
      optimizer.update(k, 0.01);
    }
    for (const [path, state] of plain) {
      store.view("values", path).forEach((value, i) => {
        expect(value).toBeCloseTo(state.p[i]!, 5);
      });
    }
    expect([...store.view("values", "idle")]).toEqual([1, 1, 1, 1]);
  });

  test("clips by value and by norm and reports the norm", () => {
    const store = new ParameterStore(declared.slice(1, 2));
    store.set("gradients", "b", f32([3, -4, 0, 0, 0, 0, 0.5], [7]));
    const byNorm = new AdamW(store, { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0, clipNorm: 1 });
    expect(byNorm.update(1, 0)).toBeCloseTo(Math.hypot(3, 4, 0.5), 6);
    expect(Math.hypot(...store.view("gradients", "b"))).toBeCloseTo(1, 6);
    store.set("gradients", "b", f32([3, -4, 0, 0, 0, 0, 0.5], [7]));
    const byValue = new AdamW(store, { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0, clipValue: 1 });
    expect(byValue.update(1, 0)).toBeCloseTo(1.5, 6);
    expect([...store.view("gradients", "b")]).toEqual([1, -1, 0, 0, 0, 0, 0.5]);
  });
});
