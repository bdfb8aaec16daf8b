import { describe, expect, test } from "vitest";
import type { RgbImage } from "../image/rgb.ts";
import { counterRandom } from "../random/counter.ts";
import { describeScene, parseScenePrompt, promptForScene } from "../train/data/scene-text.ts";
import { drawScene, sampleScene } from "../train/data/scenes.ts";
import { blankImage, drawShape } from "../train/data/shapes.ts";
import { findObjects, judgeScene } from "./scene-judge.ts";

/** Gaussian blur of `sigma` pixels and then noise, as a small model's images look. */
function roughen({ width, height, data }: RgbImage, sigma: number, noise: number, seed: number): RgbImage {
  const reach = Math.ceil(3 * sigma);
  const kernel = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)));
  const total = kernel.reduce((a, b) => a + b);
  const random = counterRandom(seed, "noise");
  const pass = (from: Float64Array, stride: number, length: number) => {
    const to = new Float64Array(from.length);
    for (let at = 0; at < from.length; at++) {
      const along = Math.floor(at / stride) % length;
      for (let k = -reach; k <= reach; k++) {
        const place = Math.min(length - 1, Math.max(0, along + k));
        to[at]! += (kernel[k + reach]! / total) * from[at + (place - along) * stride]!;
      }
    }
    return to;
  };
  const blurred = pass(pass(Float64Array.from(data), 3, width), 3 * width, height);
  return {
    width,
    height,
    data: Uint8Array.from(blurred, (v, i) => Math.min(255, Math.max(0, Math.round(v + noise * random.normal(i))))),
  };
}

const SCENES = 100;

describe("judgeScene", () => {
  test.each([
    { name: "freshly drawn", sigma: 0, noise: 0 },
    { name: "blurred and noisy", sigma: 1.5, noise: 8 },
  ])("is right on at least 98 % of $name scenes", ({ sigma, noise }) => {
    let right = 0;
    for (let index = 0; index < SCENES; index++) {
      const scene = sampleScene(77, index);
      const drawn = drawScene(scene);
      const image = sigma > 0 ? roughen(drawn, sigma, noise, index) : drawn;
      const prompt = promptForScene(scene, counterRandom(77, "prompt").fork(index));
      if (judgeScene(image, parseScenePrompt(prompt)!).isAllRight) right++;
    }
    expect(right / SCENES).toBeGreaterThanOrEqual(0.98);
  });

  test("finds fault with another scene's prompt", () => {
    let accepted = 0;
    let compared = 0;
    for (let index = 0; index < 100; index++) {
      const other = describeScene(sampleScene(77, index + 1));
      if (describeScene(sampleScene(77, index)) === other) continue;
      compared++;
      if (judgeScene(drawScene(sampleScene(77, index)), parseScenePrompt(other)!).isAllRight) accepted++;
    }
    expect(compared).toBeGreaterThan(75);
    expect(accepted / compared).toBeLessThan(0.02);
  });

  test("tells colour, shape, count and place apart", () => {
    const image = blankImage(96, [255, 255, 255]);
    drawShape(image, { shape: "circle", x: 24, y: 48, radius: 15, angle: 0, rgb: [222, 38, 42] });
    drawShape(image, { shape: "square", x: 72, y: 48, radius: 15, angle: 0, rgb: [38, 88, 222] });
    const judge = (prompt: string) => judgeScene(image, parseScenePrompt(prompt)!);
    expect(judge("a red circle to the left of a blue square").isAllRight).toBe(true);
    expect(judge("a blue square and a red circle").isAllRight).toBe(true);
    expect(judge("a red circle to the right of a blue square")).toMatchObject({
      isPlaceRight: false,
      isAllRight: false,
      isColourRight: true,
    });
    expect(judge("a blue circle and a red square")).toMatchObject({
      isColourRight: true,
      isShapeRight: true,
      isAllRight: false,
    });
    expect(judge("a red circle")).toMatchObject({ isCountRight: false, isColourRight: false });
  });

  test("finds nothing on an empty image and ignores specks", () => {
    const image = blankImage(96, [240, 240, 250]);
    expect(findObjects(image)).toEqual([]);
    drawShape(image, { shape: "circle", x: 20, y: 20, radius: 2, angle: 0, rgb: [0, 0, 0] });
    expect(findObjects(image)).toEqual([]);
  });
});
