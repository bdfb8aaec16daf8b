// Emoji RGBA -> the RGB picture that training sees: moved, resized and turned a little, on a background, recoloured slightly.
// No mirror images: names and lettering would no longer be true.

import type { Picture } from "../../image/picture.ts";
import type { CounterRandom } from "../../random/counter.ts";
import type { Rgb } from "./shapes.ts";

export interface View {
  /** Of the picture's side. */
  readonly scale: number;
  /** Radians. */
  readonly angle: number;
  /** Pixels. */
  readonly shiftX: number;
  readonly shiftY: number;
  readonly background: Rgb;
  /** A factor and an offset for each channel, applied to the drawing and not to the background. */
  readonly gain: Rgb;
  readonly offset: number;
}

/** How evaluation shows a picture: nearly filling a white square. */
export const PLAIN_VIEW: View = {
  scale: 0.92,
  angle: 0,
  shiftX: 0,
  shiftY: 0,
  background: [255, 255, 255],
  gain: [1, 1, 1],
  offset: 0,
};

export function sampleView(side: number, random: CounterRandom): View {
  const draw = random.sequence();
  const signed = () => draw.uniform() * 2 - 1;
  const scale = 0.75 + 0.25 * draw.uniform();
  const slack = ((1 - scale) * side) / 2;
  const angle = draw.uniform() < 0.5 ? 0 : signed() * 0.14;
  const kind = draw.uniform();
  const pale = () => 215 + draw.integer(41);
  const background: Rgb =
    kind < 0.7
      ? [255, 255, 255]
      : kind < 0.9
        ? [pale(), pale(), pale()]
        : [draw.integer(256), draw.integer(256), draw.integer(256)];
  const brightness = 1 + 0.08 * signed();
  const gain = () => brightness * (1 + 0.04 * signed());
  return {
    scale,
    angle,
    shiftX: signed() * slack,
    shiftY: signed() * slack,
    background,
    gain: [gain(), gain(), gain()],
    offset: 8 * signed(),
  };
}

/** rgba [side, side, 4] -> picture [side, side, 3], sampled bilinearly; colours are weighted by their opacity. */
export function renderView(rgba: Uint8Array, side: number, view: View): Picture {
  const { scale, shiftX, shiftY, background, gain, offset } = view;
  const data = new Uint8Array(side * side * 3);
  const cos = Math.cos(view.angle) / scale;
  const sin = Math.sin(view.angle) / scale;
  const centre = side / 2;
  for (let row = 0, to = 0; row < side; row++) {
    for (let column = 0; column < side; column++, to += 3) {
      const dx = column + 0.5 - centre - shiftX;
      const dy = row + 0.5 - centre - shiftY;
      const x = dx * cos + dy * sin + centre - 0.5;
      const y = dy * cos - dx * sin + centre - 0.5;
      const x0 = Math.floor(x);
      const y0 = Math.floor(y);
      let red = 0;
      let green = 0;
      let blue = 0;
      let opacity = 0;
      for (let corner = 0; corner < 4; corner++) {
        const cx = x0 + (corner & 1);
        const cy = y0 + (corner >> 1);
        if (cx < 0 || cy < 0 || cx >= side || cy >= side) continue;
        const from = (cy * side + cx) * 4;
        const weight = (1 - Math.abs(x - cx)) * (1 - Math.abs(y - cy)) * rgba[from + 3]!;
        red += weight * rgba[from]!;
        green += weight * rgba[from + 1]!;
        blue += weight * rgba[from + 2]!;
        opacity += weight;
      }
      const show = 1 - opacity / 255;
      data[to] = clamp((red * gain[0] + offset * opacity) / 255 + background[0] * show);
      data[to + 1] = clamp((green * gain[1] + offset * opacity) / 255 + background[1] * show);
      data[to + 2] = clamp((blue * gain[2] + offset * opacity) / 255 + background[2] * show);
    }
  }
  return { width: side, height: side, data };
}

function clamp(value: number): number {
  return value <= 0 ? 0 : value >= 255 ? 255 : Math.round(value);
}
