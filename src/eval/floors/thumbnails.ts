// The floor of naming without learning: the concept of the training drawing with the nearest thumbnail of 12 x 12 pixels.

import type { RgbImage } from "../../image/rgb.ts";
import type { SuiteContext } from "../suite.ts";
import { cachedRows } from "./cached-rows.ts";
import { Neighbours } from "./neighbours.ts";
import type { TrainingDrawings } from "./training-drawings.ts";

export const THUMBNAIL_SIDE = 12;

/** Means of equal squares, white as 0: [12, 12, 3]. Throws for sides that are not multiples of 12. */
export function thumbnail({ width, height, data }: RgbImage): Float32Array {
  const [across, down] = [width / THUMBNAIL_SIDE, height / THUMBNAIL_SIDE];
  if (!Number.isInteger(across) || !Number.isInteger(down))
    throw new Error(`an image of ${width} x ${height} pixels cannot be divided into a thumbnail`);
  const means = new Float32Array(THUMBNAIL_SIDE * THUMBNAIL_SIDE * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const to = (Math.floor(y / down) * THUMBNAIL_SIDE + Math.floor(x / across)) * 3;
      for (let c = 0; c < 3; c++) means[to + c]! += data[(y * width + x) * 3 + c]! / 255 / (across * down);
    }
  }
  return means.map((value) => value - 1);
}

/** Share of images whose nearest training drawing has the same label. */
export async function thumbnailFloor(
  { cacheFolder, log }: Pick<SuiteContext, "cacheFolder" | "log">,
  drawings: TrainingDrawings,
  images: readonly { readonly image: RgbImage; readonly hexcode: string }[],
): Promise<number> {
  const size = THUMBNAIL_SIDE * THUMBNAIL_SIDE * 3;
  const known = await cachedRows(cacheFolder, "thumbnails", drawings, size, async () => {
    log(`shrinking ${drawings.names.length} training drawings, once`);
    const rows = new Float32Array(drawings.names.length * size);
    drawings.names.forEach((_, i) => {
      rows.set(thumbnail(drawings.image(i)), i * size);
    });
    return rows;
  });
  const queries = new Float32Array(images.length * size);
  images.forEach(({ image }, i) => {
    queries.set(thumbnail(image), i * size);
  });
  const neighbours = await Neighbours.open(known, drawings.hexcodes);
  const rankings = await neighbours.rank(queries);
  await neighbours.release();
  return rankings.filter(({ labels }, i) => labels[0] === images[i]!.hexcode).length / images.length;
}
