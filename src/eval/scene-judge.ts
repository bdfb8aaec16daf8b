// Judges an imagined scene from its pixels alone: how many objects, their colours and shapes, and where they are.
// Colours by the nearest named one; shapes by overlap with our own shapes, over several rotations.

import type { RgbImage } from "../image/rgb.ts";
import type { WantedScene } from "../train/data/scene-text.ts";
import { type Colour, colours, colourValues, type Place } from "../train/data/scenes.ts";
import { type Rgb, type Shape, shapes, signedDistance } from "../train/data/shapes.ts";
import { findSegments, type Segment } from "./segments.ts";

export interface FoundObject {
  readonly colour: Colour;
  readonly shape: Shape;
  readonly x: number;
  readonly y: number;
  /** Of the image. */
  readonly areaShare: number;
}

export interface SceneVerdict {
  readonly found: readonly FoundObject[];
  /** The total number of objects is right. */
  readonly isCountRight: boolean;
  /** The colours are the requested ones; likewise the shapes. */
  readonly isColourRight: boolean;
  readonly isShapeRight: boolean;
  /** True if no place was requested. */
  readonly isPlaceRight: boolean;
  /** The same for shapes of any colour. */
  readonly isShapePlaceRight: boolean;
  /** Each colour with its shape, in the requested number, in its place. */
  readonly isAllRight: boolean;
}

/** Compares an image with its parsed prompt (parseScenePrompt). */
export function judgeScene(image: RgbImage, wanted: WantedScene): SceneVerdict {
  return judgeObjects(findObjects(image), wanted);
}

/** Like judgeScene, for objects already found. */
export function judgeObjects(found: readonly FoundObject[], wanted: WantedScene): SceneVerdict {
  const areEqual = (a: readonly string[], b: readonly string[]) => [...a].sort().join() === [...b].sort().join();
  const kinds = wanted.groups.flatMap(({ count, colour, shape }) =>
    new Array<string>(count).fill(`${colour} ${shape}`),
  );
  const isPlaceRight = isPlaced(found, wanted, ({ colour, shape }) => `${colour} ${shape}`);
  return {
    found,
    isShapePlaceRight: isPlaced(found, wanted, ({ shape }) => shape),
    isCountRight: found.length === kinds.length,
    isColourRight: areEqual(
      [...new Set(found.map(({ colour }) => colour))],
      [...new Set(wanted.groups.map(({ colour }) => colour))],
    ),
    isShapeRight: areEqual(
      [...new Set(found.map(({ shape }) => shape))],
      [...new Set(wanted.groups.map(({ shape }) => shape))],
    ),
    isPlaceRight,
    isAllRight:
      isPlaceRight &&
      areEqual(
        found.map(({ colour, shape }) => `${colour} ${shape}`),
        kinds,
      ),
  };
}

/** The objects of an image, larger ones first. */
export function findObjects(image: RgbImage): FoundObject[] {
  return findSegments(image).map((segment) => ({
    colour: nameColour(segment.rgb),
    shape: nameShape(segment),
    x: segment.x,
    y: segment.y,
    areaShare: segment.area / (image.width * image.height),
  }));
}

function isPlaced(
  found: readonly FoundObject[],
  { groups: [first, second], place }: WantedScene,
  kind: (object: { readonly colour: Colour; readonly shape: Shape }) => string,
): boolean {
  if (!place || !first || !second) return true;
  const find = (wanted: { colour: Colour; shape: Shape }) => found.find((object) => kind(object) === kind(wanted));
  const [a, b] = [find(first), find(second)];
  if (!a || !b) return false;
  const beyond: Readonly<Record<Place, number>> = {
    left: b.x - a.x,
    right: a.x - b.x,
    above: b.y - a.y,
    below: a.y - b.y,
  };
  return beyond[place] > 0;
}

/** The nearest named colour in CIELAB, with hue weighted above lightness. */
export function nameColour(rgb: Rgb): Colour {
  const [l, a, b] = toLab(rgb);
  let nearest: Colour = colours[0]!;
  let least = Number.POSITIVE_INFINITY;
  for (const colour of colours) {
    const [cl, ca, cb] = labValues[colour];
    const distance = Math.hypot((l - cl) * LIGHTNESS_WEIGHT, a - ca, b - cb);
    if (distance < least) [nearest, least] = [colour, distance];
  }
  return nearest;
}

/** So that a shaded or faded object keeps its colour's name. */
const LIGHTNESS_WEIGHT = 0.5;

/** sRGB -> CIELAB under D65. */
function toLab(rgb: Rgb): [number, number, number] {
  const linear = rgb.map((value) =>
    value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4,
  );
  const [r, g, b] = linear as [number, number, number];
  const f = (t: number) => (t > 216 / 24389 ? Math.cbrt(t) : (24389 / 27) * (t / 116) + 16 / 116);
  const x = f((0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047);
  const y = f(0.2126729 * r + 0.7151522 * g + 0.072175 * b);
  const z = f((0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

const labValues = Object.fromEntries(colours.map((colour) => [colour, toLab(colourValues[colour])])) as Record<
  Colour,
  [number, number, number]
>;

/** The shape whose drawing overlaps most (intersection over union) at equal area and centre of mass. */
export function nameShape(segment: Segment): Shape {
  const scale = Math.sqrt(segment.area / TEMPLATE_AREA);
  const mask = new Float32Array(GRID * GRID);
  forCells((x, y, cell) => {
    mask[cell] = segment.coverage(segment.x + x * scale, segment.y + y * scale);
  });
  let nearest: Shape = shapes[0]!;
  let most = -1;
  for (const { shape, template } of templates) {
    let [shared, joined] = [0, 0];
    for (let cell = 0; cell < mask.length; cell++) {
      shared += Math.min(mask[cell]!, template[cell]!);
      joined += Math.max(mask[cell]!, template[cell]!);
    }
    if (shared > most * joined) [nearest, most] = [shape, shared / joined];
  }
  return nearest;
}

/** Cells per side of the square from -1 to 1 in which shapes are compared. */
const GRID = 32;
/** Relative to a square of area 4, so that every shape fits inside. */
const TEMPLATE_AREA = 0.85;
const TURNS = [-0.24, -0.12, 0, 0.12, 0.24];
/** Blurs, as in a small model's drawings; standard deviations in cells. A small object is about 20 pixels wide. */
const BLURS = [0.8, 2, 3.2];

function forCells(visit: (x: number, y: number, cell: number) => void): void {
  for (let cell = 0; cell < GRID * GRID; cell++) {
    visit(((cell % GRID) + 0.5) / (GRID / 2) - 1, (Math.floor(cell / GRID) + 0.5) / (GRID / 2) - 1, cell);
  }
}

/** Half the side of the square in which a shape is drawn and blurred, in radii, and its number of pixels along a side. */
const REACH = 2.4;
const FINE = 128;
const CELL = (2 * REACH) / FINE;

const templates = shapes.flatMap((shape) =>
  BLURS.flatMap((blur) => {
    const soft = drawSoft(shape, blur);
    return TURNS.map((turn) => ({ shape, template: sampleTemplate(soft, turn) }));
  }),
);

interface SoftShape {
  /** [FINE, FINE] */
  readonly pixels: Float32Array;
  /** Radii per unit of the square in which shapes are compared. */
  readonly scale: number;
}

function drawSoft(shape: Shape, blur: number): SoftShape {
  const drawn = new Float32Array(FINE * FINE);
  for (let i = 0; i < drawn.length; i++) {
    const [x, y] = [((i % FINE) + 0.5) * CELL - REACH, (Math.floor(i / FINE) + 0.5) * CELL - REACH];
    drawn[i] = Math.min(1, Math.max(0, 0.5 - signedDistance(shape, x, y) / CELL));
  }
  const area = drawn.reduce((sum, value) => sum + value, 0) * CELL ** 2;
  const scale = Math.sqrt(area / TEMPLATE_AREA);
  return { pixels: gaussianBlur(drawn, FINE, (blur * (2 / GRID) * scale) / CELL), scale };
}

/** Rotated around its centre of mass. */
function sampleTemplate({ pixels, scale }: SoftShape, turn: number): Float32Array {
  let [total, cx, cy] = [0, 0, 0];
  for (const [i, weight] of pixels.entries()) {
    total += weight;
    cx += weight * (i % FINE);
    cy += weight * Math.floor(i / FINE);
  }
  const [cos, sin] = [(Math.cos(turn) * scale) / CELL, (Math.sin(turn) * scale) / CELL];
  const template = new Float32Array(GRID * GRID);
  forCells((x, y, cell) => {
    const column = Math.round(cx / total + x * cos + y * sin);
    const row = Math.round(cy / total + y * cos - x * sin);
    template[cell] = column >= 0 && row >= 0 && column < FINE && row < FINE ? pixels[row * FINE + column]! : 0;
  });
  return template;
}

/** Over rows, then columns; zero outside. */
function gaussianBlur(values: Float32Array, side: number, sigma: number): Float32Array {
  const reach = Math.ceil(3 * sigma);
  const kernel = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)));
  const total = kernel.reduce((sum, weight) => sum + weight, 0);
  const along = (from: Float32Array, stride: number) =>
    from.map((_, at) => {
      const place = Math.floor(at / stride) % side;
      let sum = 0;
      for (let k = Math.max(-reach, -place); k <= Math.min(reach, side - 1 - place); k++) {
        sum += kernel[k + reach]! * from[at + k * stride]!;
      }
      return sum / total;
    });
  return along(along(values, 1), side);
}
