// Finds the objects of a drawn scene in its pixels: foreground, split into connected components.

import type { RgbImage } from "../image/rgb.ts";
import type { Rgb } from "../train/data/shapes.ts";

/** One connected piece of foreground, in pixels of the image. */
export interface Segment {
  /** Centre of mass. */
  readonly x: number;
  readonly y: number;
  readonly area: number;
  /** Mean colour of its inner pixels. */
  readonly rgb: Rgb;
  /** Coverage of a point: 0 .. 1 by colour, interpolated between pixels. */
  coverage(x: number, y: number): number;
}

/** Distances in RGB of 0 .. 255: background noise and shading stay below, the palest object far above. */
const FOREGROUND_DISTANCE = 60;
/** Share of the image; smaller components are specks. Small objects take about 3 %. */
const MIN_AREA = 0.006;

/** Every object on a plain background, largest first. */
export function findSegments({ width, height, data }: RgbImage): Segment[] {
  const background = borderColour(width, height, data);
  const distance = new Float32Array(width * height);
  for (let i = 0; i < distance.length; i++) {
    distance[i] = Math.hypot(
      data[3 * i]! - background[0],
      data[3 * i + 1]! - background[1],
      data[3 * i + 2]! - background[2],
    );
  }
  const smooth = boxBlur(distance, width, height);
  const label = new Int32Array(width * height).fill(-1);
  const segments: Segment[] = [];
  for (let start = 0; start < smooth.length; start++) {
    if (label[start]! >= 0 || smooth[start]! < FOREGROUND_DISTANCE) continue;
    const pixels = flood(start, segments.length, smooth, label, width, height);
    const segment = measure(pixels, smooth, data, width, height);
    if (segment.area >= MIN_AREA * width * height) segments.push(segment);
  }
  return segments.sort((a, b) => b.area - a.area);
}

/** The median of each channel along the border. */
function borderColour(width: number, height: number, data: Uint8Array): Rgb {
  const values: [number[], number[], number[]] = [[], [], []];
  for (let y = 0; y < height; y++) {
    const isEdgeRow = y < 2 || y >= height - 2;
    for (let x = 0; x < width; x++) {
      if (!isEdgeRow && x >= 2 && x < width - 2) continue;
      for (let channel = 0; channel < 3; channel++) values[channel]!.push(data[(y * width + x) * 3 + channel]!);
    }
  }
  const median = (list: number[]) => list.sort((a, b) => a - b)[list.length >> 1]!;
  return [median(values[0]), median(values[1]), median(values[2])];
}

/** The mean over 3 x 3 pixels, fewer at the border. */
function boxBlur(values: Float32Array, width: number, height: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      let count = 0;
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          sum += values[v * width + u]!;
          count++;
        }
      }
      out[y * width + x] = sum / count;
    }
  }
  return out;
}

/** The pixels connected to `start` by sides, each marked in `label`. */
function flood(
  start: number,
  mark: number,
  distance: Float32Array,
  label: Int32Array,
  width: number,
  height: number,
): number[] {
  const pixels = [start];
  label[start] = mark;
  for (let next = 0; next < pixels.length; next++) {
    const at = pixels[next]!;
    const x = at % width;
    const neighbours = [
      x > 0 ? at - 1 : at,
      x < width - 1 ? at + 1 : at,
      at >= width ? at - width : at,
      at < width * (height - 1) ? at + width : at,
    ];
    for (const neighbour of neighbours) {
      if (label[neighbour]! >= 0 || distance[neighbour]! < FOREGROUND_DISTANCE) continue;
      label[neighbour] = mark;
      pixels.push(neighbour);
    }
  }
  return pixels;
}

function measure(
  pixels: readonly number[],
  distance: Float32Array,
  data: Uint8Array,
  width: number,
  height: number,
): Segment {
  const sorted = pixels.map((at) => distance[at]!).sort((a, b) => a - b);
  const full = sorted[Math.floor(sorted.length * 0.8)]!;
  const mask = new Float32Array(width * height);
  const rgb: [number, number, number] = [0, 0, 0];
  let [x, y, area, inner] = [0, 0, 0, 0];
  for (const at of pixels) {
    const weight = Math.min(1, distance[at]! / full);
    mask[at] = weight;
    x += weight * ((at % width) + 0.5);
    y += weight * (Math.floor(at / width) + 0.5);
    area += weight;
    if (distance[at]! < 0.85 * full) continue;
    for (let channel = 0; channel < 3; channel++) rgb[channel]! += data[3 * at + channel]!;
    inner++;
  }
  return {
    x: x / area,
    y: y / area,
    area,
    rgb: [rgb[0] / inner, rgb[1] / inner, rgb[2] / inner],
    coverage: (px, py) => interpolate(mask, width, height, px - 0.5, py - 0.5),
  };
}

function interpolate(values: Float32Array, width: number, height: number, x: number, y: number): number {
  const x0 = Math.floor(x);
  const y0 = Math.floor(y);
  if (x0 < 0 || y0 < 0 || x0 >= width - 1 || y0 >= height - 1) return 0;
  const [fx, fy, at] = [x - x0, y - y0, y0 * width + x0];
  const top = values[at]! * (1 - fx) + values[at + 1]! * fx;
  const bottom = values[at + width]! * (1 - fx) + values[at + width + 1]! * fx;
  return top * (1 - fy) + bottom * fy;
}
