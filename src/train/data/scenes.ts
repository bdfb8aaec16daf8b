// Scenes of coloured shapes, drawn from a description: one to four equal objects, or a pair.
// A scene is a function of (seed, index); its text (scene-text.ts) comes from the same description.

import type { RgbImage } from "../../image/rgb.ts";
import { type CounterRandom, counterRandom } from "../../random/counter.ts";
import { blankImage, drawShape, EXTENT, type PlacedShape, type Rgb, type Shape, shapes } from "./shapes.ts";

export const colourValues = {
  red: [222, 38, 42],
  green: [38, 160, 62],
  blue: [38, 88, 222],
  yellow: [246, 208, 24],
  orange: [246, 128, 24],
  purple: [142, 56, 182],
  black: [24, 24, 24],
} as const satisfies Record<string, Rgb>;

export type Colour = keyof typeof colourValues;
export const colours = Object.keys(colourValues) as readonly Colour[];
export type Size = "small" | "large";

/** Where the first object of a pair is, relative to the second. */
export type Place = "left" | "right" | "above" | "below";

export interface SceneObject extends PlacedShape {
  readonly colour: Colour;
  readonly size: Size;
}

export interface Scene {
  /** A group has 1 to 4 objects equal in shape, colour and size; a pair has 2 that differ in shape or colour. */
  readonly kind: "group" | "pair";
  readonly objects: readonly SceneObject[];
  /** For pairs. */
  readonly place?: Place;
  readonly background: Rgb;
}

/** Radii on an image of 96 pixels. */
const radii: Readonly<Record<Size, readonly [number, number]>> = { small: [8.5, 10.5], large: [15.5, 18.5] };
const FRAME = 96;
const MIN_GAP = 5;
const COLOUR_JITTER = 10;
const MAX_TURN = 0.09;

/** The scene for a seed and an index, in pixels of a square image. */
export function sampleScene(seed: number, index: number, side = FRAME): Scene {
  const random = counterRandom(seed, "scene").fork(index);
  const draw = random.fork("kind").sequence();
  const isPair = draw.uniform() < 0.4;
  const backgroundKind = draw.uniform();
  const background: Rgb =
    backgroundKind < 0.6 ? [255, 255, 255] : [228 + draw.integer(28), 228 + draw.integer(28), 228 + draw.integer(28)];
  const scale = side / FRAME;
  const scaled = (objects: SceneObject[]) =>
    objects.map((object) => ({ ...object, x: object.x * scale, y: object.y * scale, radius: object.radius * scale }));
  if (!isPair) return { kind: "group", objects: scaled(sampleGroup(random.fork("group"))), background };
  const { objects, place } = samplePair(random.fork("pair"));
  return { kind: "pair", objects: scaled(objects), place, background };
}

/** Draws a scene on a square image of the side that it was sampled for. */
export function drawScene({ objects, background }: Scene, side = FRAME): RgbImage {
  const image = blankImage(side, background);
  for (const object of objects) drawShape(image, object);
  return image;
}

function sampleGroup(random: CounterRandom): SceneObject[] {
  const draw = random.sequence();
  const count = 1 + draw.integer(4);
  const kind = { shape: draw.pick(shapes), colour: draw.pick(colours), size: draw.pick<Size>(["small", "large"]) };
  const looks = Array.from({ length: count }, () => sampleLook(kind, draw));
  const places = scatter(
    looks.map(({ radius }) => radius),
    random.fork("places"),
  );
  return looks.map((look, i) => ({ ...look, ...places[i]! }));
}

function samplePair(random: CounterRandom): { objects: SceneObject[]; place: Place } {
  const draw = random.sequence();
  const shape = draw.pick(shapes);
  const colour = draw.pick(colours);
  const differs = draw.uniform(); // mostly in both, so that neither word reveals the other
  const otherShape = differs < 0.15 ? shape : draw.pick(shapes.filter((other) => other !== shape));
  const otherColour = differs > 0.85 ? colour : draw.pick(colours.filter((other) => other !== colour));
  const first = sampleLook({ shape, colour, size: draw.pick<Size>(["small", "large"]) }, draw);
  const second = sampleLook(
    { shape: otherShape, colour: otherColour, size: draw.pick<Size>(["small", "large"]) },
    draw,
  );

  const place = draw.pick<Place>(["left", "right", "above", "below"]);
  const reach = EXTENT * (first.radius + second.radius);
  const room = FRAME - 4 - reach; // the remaining space along the axis
  const distance = reach + MIN_GAP + draw.uniform() * (room - reach - MIN_GAP);
  const start = 2 + EXTENT * first.radius + draw.uniform() * (FRAME - 4 - reach - distance);
  const across = 30 + draw.uniform() * 36;
  const shift = (draw.uniform() * 2 - 1) * 8;
  const isFirstEarlier = place === "left" || place === "above";
  const along = isFirstEarlier ? [start, start + distance] : [FRAME - start, FRAME - start - distance];
  const isRow = place === "left" || place === "right";
  const at = (i: 0 | 1) => {
    const other = across + (i === 0 ? shift : -shift);
    return isRow ? { x: along[i]!, y: other } : { x: other, y: along[i]! };
  };
  return {
    objects: [
      { ...first, ...at(0) },
      { ...second, ...at(1) },
    ],
    place,
  };
}

type Look = Omit<SceneObject, "x" | "y">;

function sampleLook(
  kind: { readonly shape: Shape; readonly colour: Colour; readonly size: Size },
  draw: ReturnType<CounterRandom["sequence"]>,
): Look {
  const [least, most] = radii[kind.size];
  const jitter = (value: number) =>
    Math.min(255, Math.max(0, value + draw.integer(2 * COLOUR_JITTER + 1) - COLOUR_JITTER));
  const [red, green, blue] = colourValues[kind.colour];
  return {
    ...kind,
    radius: least + draw.uniform() * (most - least),
    angle: (draw.uniform() * 2 - 1) * MAX_TURN,
    rgb: [jitter(red), jitter(green), jitter(blue)],
  };
}

/** Places without overlap: random draws first, then the image's quarters, where four large objects always fit. */
function scatter(radii: readonly number[], random: CounterRandom): { x: number; y: number }[] {
  const draw = random.sequence();
  const anywhere = (radius: number) => {
    const margin = EXTENT * radius + 2;
    return { x: margin + draw.uniform() * (FRAME - 2 * margin), y: margin + draw.uniform() * (FRAME - 2 * margin) };
  };
  for (let attempt = 0; attempt < 20; attempt++) {
    const places = radii.map(anywhere);
    const isFree = places.every((a, i) =>
      places.every((b, j) => i >= j || Math.hypot(a.x - b.x, a.y - b.y) > EXTENT * (radii[i]! + radii[j]!) + MIN_GAP),
    );
    if (isFree) return places;
  }
  const quarters = [0, 1, 2, 3];
  return radii.map((radius) => {
    const [quarter = 0] = quarters.splice(draw.integer(quarters.length), 1);
    const slack = Math.max(0, FRAME / 4 - EXTENT * radius - MIN_GAP / 2);
    const jitter = () => FRAME / 4 + (draw.uniform() * 2 - 1) * slack;
    return { x: (quarter % 2) * (FRAME / 2) + jitter(), y: Math.floor(quarter / 2) * (FRAME / 2) + jitter() };
  });
}
