// Variants of an image with the same content: slightly moved, scaled and turned, with other colours. They let a few images teach what
// they have in common.

import type { RgbImage } from "../image/rgb.ts";
import type { CounterRandom } from "../random/counter.ts";
import { renderView } from "./data/augment.ts";

/** Another view of an image, of the same size. Areas from beyond the edges get the colour of a corner. */
export function vary(image: RgbImage, random: CounterRandom): RgbImage {
  const { width, height, data } = image;
  const draw = random.sequence();
  const signed = () => draw.uniform() * 2 - 1;
  const scale = 0.8 + 0.25 * draw.uniform();
  const stretch = Math.exp(0.08 * signed());
  const brightness = 1 + 0.15 * signed();
  const gain = () => brightness * (1 + 0.08 * signed());
  const view = {
    scaleX: scale * stretch,
    scaleY: scale / stretch,
    angle: draw.uniform() < 0.5 ? 0 : 0.2 * signed(),
    shiftX: 0.08 * signed() * width,
    shiftY: 0.08 * signed() * height,
    background: [data[0]!, data[1]!, data[2]!] as const,
    saturation: 1 + 0.3 * signed(),
    gain: [gain(), gain(), gain()] as const,
    offset: 16 * signed(),
  };
  const rgba = new Uint8Array(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  return renderView(rgba, width, view, height);
}
