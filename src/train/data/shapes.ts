// Shapes as signed distance functions, drawn onto RGB pixels. A pixel's coverage follows from its distance
// to the edge, so one evaluation per pixel gives a smooth outline.

import type { RgbImage } from "../../image/rgb.ts";

export type Shape = "circle" | "square" | "triangle" | "star" | "diamond" | "heart";
export const shapes: readonly Shape[] = ["circle", "square", "triangle", "star", "diamond", "heart"];

export type Rgb = readonly [red: number, green: number, blue: number];

export interface PlacedShape {
  readonly shape: Shape;
  /** Centre and radius in pixels; the outline stays within EXTENT * radius of the centre. */
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  /** Clockwise, radians. */
  readonly angle: number;
  readonly rgb: Rgb;
}

export const EXTENT = 1.25;

/** Corners around the origin for a radius of 1, y downwards; areas are close to the circle's. */
const corners: Readonly<Record<Exclude<Shape, "circle">, Float64Array>> = {
  square: Float64Array.of(-0.86, -0.86, 0.86, -0.86, 0.86, 0.86, -0.86, 0.86),
  triangle: Float64Array.of(0, -1.15, 1.08, 0.85, -1.08, 0.85),
  star: ring(10, (i) => (i % 2 === 0 ? 1.25 : 0.53)),
  diamond: Float64Array.of(0, -1.25, 0.82, 0, 0, 1.25, -0.82, 0),
  heart: heart(40),
};

/** Distance from (x, y) to the outline of the shape of radius 1 around the origin, negative inside. */
export function signedDistance(shape: Shape, x: number, y: number): number {
  if (shape === "circle") return Math.hypot(x, y) - 1;
  const points = corners[shape];
  let nearest = Number.POSITIVE_INFINITY;
  let isInside = false;
  for (let i = 0, j = points.length - 2; i < points.length; j = i, i += 2) {
    const ax = points[i]!;
    const ay = points[i + 1]!;
    const ex = points[j]! - ax;
    const ey = points[j + 1]! - ay;
    const wx = x - ax;
    const wy = y - ay;
    const along = Math.min(1, Math.max(0, (wx * ex + wy * ey) / (ex * ex + ey * ey)));
    nearest = Math.min(nearest, (wx - ex * along) ** 2 + (wy - ey * along) ** 2);
    if (ay > y !== ay + ey > y && x < ax + (ex * wy) / ey) isInside = !isInside;
  }
  return isInside ? -Math.sqrt(nearest) : Math.sqrt(nearest);
}

/** A solid-coloured image. */
export function blankImage(side: number, rgb: Rgb): RgbImage {
  const data = new Uint8Array(side * side * 3);
  for (let i = 0; i < data.length; i++) data[i] = rgb[(i % 3) as 0 | 1 | 2];
  return { width: side, height: side, data };
}

/** Draws a shape over an image, in place. */
export function drawShape({ width, height, data }: RgbImage, { shape, x, y, radius, angle, rgb }: PlacedShape): void {
  const reach = EXTENT * radius + 1;
  const cos = Math.cos(angle) / radius;
  const sin = Math.sin(angle) / radius;
  for (let row = Math.max(0, Math.floor(y - reach)); row < Math.min(height, y + reach); row++) {
    for (let column = Math.max(0, Math.floor(x - reach)); column < Math.min(width, x + reach); column++) {
      const dx = column + 0.5 - x;
      const dy = row + 0.5 - y;
      const distance = radius * signedDistance(shape, dx * cos + dy * sin, dy * cos - dx * sin);
      if (distance >= 0.5) continue;
      const coverage = Math.min(1, 0.5 - distance);
      const at = (row * width + column) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const below = data[at + channel]!;
        data[at + channel] = Math.round(below + (rgb[channel as 0 | 1 | 2] - below) * coverage);
      }
    }
  }
}

/** Corners at equal angles from the top; the radius depends on the corner's index. */
function ring(count: number, radius: (i: number) => number): Float64Array {
  const points = new Float64Array(count * 2);
  for (let i = 0; i < count; i++) {
    const angle = (2 * Math.PI * i) / count;
    points[2 * i] = radius(i) * Math.sin(angle);
    points[2 * i + 1] = -radius(i) * Math.cos(angle);
  }
  return points;
}

/** The curve 16 sin^3 t, 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, scaled and centred. */
function heart(count: number): Float64Array {
  const points = new Float64Array(count * 2);
  for (let i = 0; i < count; i++) {
    const t = (2 * Math.PI * i) / count;
    points[2 * i] = (16 * Math.sin(t) ** 3) / 15;
    points[2 * i + 1] = -(13 * Math.cos(t) - 5 * Math.cos(2 * t) - 2 * Math.cos(3 * t) - Math.cos(4 * t) + 2) / 15;
  }
  return points;
}
