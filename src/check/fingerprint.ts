// Results in a few characters, to compare between machines: codes and text must be equal, pixels may differ by one level.

import { createHash } from "node:crypto";
import type { RgbImage } from "../image/rgb.ts";
import type { CodeFields } from "../vision/image-codes.ts";

/** Codes shown beside their hash. */
const SHOWN_CODES = 8;

export interface CodesPrint {
  readonly grid: readonly [number, number];
  /** Of the codes as 16-bit numbers, low byte first. */
  readonly sha256: string;
  readonly first: readonly number[];
}

export function printOfCodes({ grid, codes }: Pick<CodeFields, "grid" | "codes">): CodesPrint {
  const bytes = new DataView(new ArrayBuffer(2 * codes.length));
  codes.forEach((code, i) => {
    bytes.setUint16(2 * i, code, true);
  });
  return { grid: [grid[0], grid[1]], sha256: sha256(bytes), first: [...codes.slice(0, SHOWN_CODES)] };
}

export interface PixelsPrint {
  readonly width: number;
  readonly height: number;
  readonly sha256: string;
  /** Of red, green and blue. */
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

export function printOfPixels({ width, height, data }: RgbImage): PixelsPrint {
  const channels = [0, 1, 2].map((channel) => {
    let [sum, squares] = [0, 0];
    for (let i = channel; i < data.length; i += 3) {
      sum += data[i]!;
      squares += data[i]! ** 2;
    }
    const mean = sum / (width * height);
    return { mean, deviation: Math.sqrt(Math.max(0, squares / (width * height) - mean ** 2)) };
  });
  return {
    width,
    height,
    sha256: sha256(data),
    mean: channels.map(({ mean }) => round(mean)),
    deviation: channels.map(({ deviation }) => round(deviation)),
  };
}

function round(value: number): number {
  return Math.round(100 * value) / 100;
}

function sha256(bytes: NodeJS.ArrayBufferView): string {
  return createHash("sha256").update(bytes).digest("hex");
}
