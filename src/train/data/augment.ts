// Emoji RGBA -> an augmented RGB training image: slightly moved, stretched and turned, on a background, recoloured.
// Never mirrored: names and lettering would become wrong.

import type { RgbImage } from "../../image/rgb.ts";
import type { CounterRandom } from "../../random/counter.ts";
import type { Rgb } from "./shapes.ts";

export interface View {
  /** Fractions of the image's side, across and down. */
  readonly scaleX: number;
  readonly scaleY: number;
  /** Radians. */
  readonly angle: number;
  /** Pixels. */
  readonly shiftX: number;
  readonly shiftY: number;
  readonly background: Rgb;
  /** Saturation (1 as drawn), then a factor per channel and an offset. The background is unchanged. */
  readonly saturation: number;
  readonly gain: Rgb;
  readonly offset: number;
}

/** The view used in evaluation: nearly filling a white square. */
export const PLAIN_VIEW: View = {
  scaleX: 0.92,
  scaleY: 0.92,
  angle: 0,
  shiftX: 0,
  shiftY: 0,
  background: [255, 255, 255],
  saturation: 1,
  gain: [1, 1, 1],
  offset: 0,
};

export function sampleView(side: number, random: CounterRandom): View {
  const draw = random.sequence();
  const signed = () => draw.uniform() * 2 - 1;
  const scale = 0.65 + 0.35 * draw.uniform();
  const aspect = Math.exp(0.1 * signed());
  const [scaleX, scaleY] = [scale * Math.min(1, aspect), scale * Math.min(1, 1 / aspect)];
  const angle = draw.uniform() < 0.5 ? 0 : signed() * 0.25;
  const kind = draw.uniform();
  const pale = () => 215 + draw.integer(41);
  const background: Rgb =
    kind < 0.7
      ? [255, 255, 255]
      : kind < 0.9
        ? [pale(), pale(), pale()]
        : [draw.integer(256), draw.integer(256), draw.integer(256)];
  const brightness = 1 + 0.15 * signed();
  const gain = () => brightness * (1 + 0.08 * signed());
  return {
    scaleX,
    scaleY,
    angle,
    shiftX: (signed() * (1 - scaleX) * side) / 2,
    shiftY: (signed() * (1 - scaleY) * side) / 2,
    background,
    saturation: 1 + 0.3 * signed(),
    gain: [gain(), gain(), gain()],
    offset: 16 * signed(),
  };
}

/** The view of an image to be drawn: nearly plain, so that the request describes everything that varies. */
export function sampleRequestView(side: number, random: CounterRandom): View {
  const draw = random.sequence();
  const scale = 0.85 + 0.15 * draw.uniform();
  const shift = () => ((draw.uniform() * 2 - 1) * (1 - scale) * side) / 4;
  return { ...PLAIN_VIEW, scaleX: scale, scaleY: scale, shiftX: shift(), shiftY: shift() };
}

/** Blends two drawings of the same size, rgba [side, side, 4], with `share` of the second; colours are weighted by opacity. */
export function fade(rgba: Uint8Array, other: Uint8Array, share: number): Uint8Array {
  const mixed = new Uint8Array(rgba.length);
  for (let at = 0; at < rgba.length; at += 4) {
    const own = (1 - share) * rgba[at + 3]!;
    const theirs = share * other[at + 3]!;
    const opacity = own + theirs;
    if (opacity === 0) continue;
    for (let channel = 0; channel < 3; channel++) {
      mixed[at + channel] = Math.round((own * rgba[at + channel]! + theirs * other[at + channel]!) / opacity);
    }
    mixed[at + 3] = Math.round(opacity);
  }
  return mixed;
}

/**
 * rgba [rows, side, 4] -> image [rows, side, 3], sampled bilinearly; colours are weighted by opacity. Square by default.
 */
export function renderView(rgba: Uint8Array, side: number, view: View, rows = side): RgbImage {
  const { scaleX, scaleY, shiftX, shiftY, background, saturation, gain, offset } = view;
  const data = new Uint8Array(side * rows * 3);
  const cos = Math.cos(view.angle);
  const sin = Math.sin(view.angle);
  const centre = side / 2;
  const middle = rows / 2;
  for (let row = 0, to = 0; row < rows; row++) {
    for (let column = 0; column < side; column++, to += 3) {
      const dx = column + 0.5 - centre - shiftX;
      const dy = row + 0.5 - middle - shiftY;
      const x = (dx * cos + dy * sin) / scaleX + centre - 0.5;
      const y = (dy * cos - dx * sin) / scaleY + middle - 0.5;
      const x0 = Math.floor(x);
      const y0 = Math.floor(y);
      let red = 0;
      let green = 0;
      let blue = 0;
      let opacity = 0;
      for (let corner = 0; corner < 4; corner++) {
        const cx = x0 + (corner & 1);
        const cy = y0 + (corner >> 1);
        if (cx < 0 || cy < 0 || cx >= side || cy >= rows) continue;
        const from = (cy * side + cx) * 4;
        const weight = (1 - Math.abs(x - cx)) * (1 - Math.abs(y - cy)) * rgba[from + 3]!;
        red += weight * rgba[from]!;
        green += weight * rgba[from + 1]!;
        blue += weight * rgba[from + 2]!;
        opacity += weight;
      }
      const show = 1 - opacity / 255;
      const grey = (red + green + blue) / 3;
      const tint = (value: number, channel: 0 | 1 | 2) =>
        clamp(
          ((grey + (value - grey) * saturation) * gain[channel] + offset * opacity) / 255 + background[channel] * show,
        );
      data[to] = tint(red, 0);
      data[to + 1] = tint(green, 1);
      data[to + 2] = tint(blue, 2);
    }
  }
  return { width: side, height: rows, data };
}

function clamp(value: number): number {
  return value <= 0 ? 0 : value >= 255 ? 255 : Math.round(value);
}
