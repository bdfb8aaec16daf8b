// The floor of reconstruction without a learned network: residual codes of pixel patches in the same number of bytes.
// Patches of the training drawings are projected on their principal components; each codebook is fitted by k-means to the residual of
// the previous ones.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { RgbImage } from "../../image/rgb.ts";
import { openSafetensorsAt, writeSafetensors } from "../../quantize/safetensors-file.ts";
import { counterRandom } from "../../random/counter.ts";
import { f32 } from "../../runtime/host-tensor.ts";
import { memoryWeights } from "../../runtime/memory-weights.ts";
import { openSession } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import { NearestCentres } from "../../train/nearest-centres.ts";
import { evalFolder } from "./cached-rows.ts";
import type { TrainingDrawings } from "./training-drawings.ts";

export interface ResidualCodes {
  /** Pixels along a side of a patch. */
  readonly patch: number;
  readonly mean: Float32Array;
  /** [rank, patch * patch * 3], orthonormal rows. */
  readonly basis: Float32Array;
  /** [size, rank] each */
  readonly books: readonly Float32Array[];
}

const RANK = 96;
const ROUNDS = 12;
/** One in this many drawings is used. */
const EVERY = 2;
const BATCH = 4096;

/** Fits codebooks of `size` codes for square patches. Takes seconds to a minute. */
export async function fitResidualCodes(
  images: readonly RgbImage[],
  { patch, books: count, size }: { readonly patch: number; readonly books: number; readonly size: number },
): Promise<ResidualCodes> {
  const width = patch * patch * 3;
  const rows = concat(images.map((image) => patchRows(image, patch)));
  const n = rows.length / width;
  const mean = new Float32Array(width);
  rows.forEach((value, i) => {
    mean[i % width]! += value / n;
  });
  const rank = Math.min(RANK, width);
  const basis = await principalRows(rows, mean, width, rank);
  const residual = await project(rows, mean, basis, width, rank);
  const books: Float32Array[] = [];
  for (let book = 0; book < count; book++) {
    const centres = await kMeans(residual, rank, size, book);
    subtract(residual, centres, await nearest(residual, centres, rank), rank);
    books.push(centres);
  }
  return { patch, mean, basis, books };
}

/** Encodes and decodes an image with the first `books` codebooks. */
export async function throughResidualCodes(image: RgbImage, codes: ResidualCodes, books = codes.books.length) {
  const { patch, mean, basis } = codes;
  const width = patch * patch * 3;
  const rank = basis.length / width;
  const rows = patchRows(image, patch);
  const wanted = await project(rows, mean, basis, width, rank);
  const left = wanted.slice();
  for (const centres of codes.books.slice(0, books)) subtract(left, centres, await nearest(left, centres, rank), rank);
  const n = rows.length / width;
  const drawn = new Float32Array(rows.length);
  for (let row = 0; row < n; row++) {
    for (let i = 0; i < width; i++) {
      let value = mean[i]!;
      for (let k = 0; k < rank; k++) value += (wanted[row * rank + k]! - left[row * rank + k]!) * basis[k * width + i]!;
      drawn[row * width + i] = value;
    }
  }
  return fromPatchRows(drawn, image, patch);
}

/** The codes fitted to the training drawings, from the cache if possible. */
export async function openResidualCodes(
  cacheFolder: string,
  drawings: TrainingDrawings,
  wanted: { readonly patch: number; readonly books: number; readonly size: number },
  log: (line: string) => void,
): Promise<ResidualCodes> {
  const { patch, books, size } = wanted;
  const path = join(evalFolder(cacheFolder), `residual-codes-${books}x${size}-${patch}px.safetensors`);
  const known = await openSafetensorsAt(path).catch(() => undefined);
  if (known) {
    const read = async (name: string) => (await known.read(name)).data as Float32Array;
    const found = { patch, mean: await read("mean"), basis: await read("basis"), books: [] as Float32Array[] };
    for (let book = 0; book < books; book++) found.books.push(await read(`books.${book}`));
    await known.close();
    return found;
  }
  log(`fitting ${books} x ${size} residual codes of ${patch} x ${patch} pixels without a network, once`);
  const images = drawings.names.flatMap((_, i) => (i % EVERY === 0 ? [drawings.image(i)] : []));
  const codes = await fitResidualCodes(images, wanted);
  await mkdir(evalFolder(cacheFolder), { recursive: true });
  const width = patch * patch * 3;
  const rank = codes.basis.length / width;
  await writeSafetensors(path, [
    ["mean", f32(Float32Array.from(codes.mean), [width])],
    ["basis", f32(Float32Array.from(codes.basis), [rank, width])],
    ...codes.books.map(
      (centres, i) => [`books.${i}`, f32(Float32Array.from(centres), [size, rank])] as [string, ReturnType<typeof f32>],
    ),
  ]);
  return codes;
}

/** [positions, patch * patch * 3], levels 0 .. 255 */
function patchRows({ width, height, data }: RgbImage, patch: number): Float32Array {
  const [across, down] = [Math.floor(width / patch), Math.floor(height / patch)];
  const rows = new Float32Array(across * down * patch * patch * 3);
  forPixels(across, down, patch, (to, x, y) => {
    for (let c = 0; c < 3; c++) rows[to + c] = data[(y * width + x) * 3 + c]!;
  });
  return rows;
}

function fromPatchRows(rows: Float32Array, { width, height, data: original }: RgbImage, patch: number): RgbImage {
  const data = Uint8Array.from(original);
  forPixels(Math.floor(width / patch), Math.floor(height / patch), patch, (from, x, y) => {
    for (let c = 0; c < 3; c++) data[(y * width + x) * 3 + c] = Math.min(255, Math.max(0, Math.round(rows[from + c]!)));
  });
  return { width, height, data };
}

function forPixels(across: number, down: number, patch: number, visit: (at: number, x: number, y: number) => void) {
  let at = 0;
  for (let row = 0; row < down; row++) {
    for (let column = 0; column < across; column++) {
      for (let y = 0; y < patch; y++) {
        for (let x = 0; x < patch; x++, at += 3) visit(at, column * patch + x, row * patch + y);
      }
    }
  }
}

/** The leading eigenvectors of the rows' covariance, by subspace iteration (Halko et al., arXiv:0909.4061, section 4.5). */
async function principalRows(rows: Float32Array, mean: Float32Array, width: number, rank: number) {
  const graph = new Graph();
  const x = graph.input("rows", ["n", width]);
  graph.output("gram", x.transpose([1, 0]).matmul(x));
  const session = await openSession(graph, memoryWeights(new Map()));
  const covariance = new Float64Array(width * width);
  for (let start = 0; start < rows.length; start += BATCH * width) {
    const part = Float32Array.from(rows.subarray(start, start + BATCH * width), (value, i) => value - mean[i % width]!);
    const { gram } = await session.run({ rows: f32(part, [part.length / width, width]) });
    (gram!.data as Float32Array).forEach((value, i) => {
      covariance[i]! += value;
    });
  }
  await session.release();
  const scale = covariance.reduce((most, value) => Math.max(most, value), 1e-30);
  const random = counterRandom(1, "principal rows");
  let basis = Float64Array.from({ length: rank * width }, (_, i) => random.normal(i));
  for (let round = 0; round < ROUNDS; round++) {
    const next = new Float64Array(rank * width);
    for (let k = 0; k < rank; k++) {
      for (let i = 0; i < width; i++) {
        const factor = basis[k * width + i]! / scale;
        if (factor === 0) continue;
        for (let j = 0; j < width; j++) next[k * width + j]! += factor * covariance[i * width + j]!;
      }
    }
    basis = orthonormal(next, rank, width);
  }
  return Float32Array.from(basis);
}

/** Orthonormalizes rows (modified Gram-Schmidt). */
function orthonormal(rows: Float64Array, rank: number, width: number): Float64Array<ArrayBuffer> {
  const out = Float64Array.from(rows);
  for (let k = 0; k < rank; k++) {
    const own = out.subarray(k * width, (k + 1) * width);
    for (let j = 0; j < k; j++) {
      const other = out.subarray(j * width, (j + 1) * width);
      let dot = 0;
      for (let i = 0; i < width; i++) dot += own[i]! * other[i]!;
      for (let i = 0; i < width; i++) own[i]! -= dot * other[i]!;
    }
    const length = Math.sqrt(own.reduce((sum, value) => sum + value * value, 1e-30));
    for (let i = 0; i < width; i++) own[i]! /= length;
  }
  return out;
}

async function project(rows: Float32Array, mean: Float32Array, basis: Float32Array, width: number, rank: number) {
  const graph = new Graph();
  graph.output(
    "y",
    graph.input("rows", ["n", width]).matmul(graph.params.get("basis", [rank, width]), { transB: true }),
  );
  const weights = memoryWeights(new Map([["basis", f32(Float32Array.from(basis), [rank, width])]]));
  const session = await openSession(graph, weights);
  const out = new Float32Array((rows.length / width) * rank);
  for (let start = 0; start < rows.length; start += BATCH * width) {
    const part = Float32Array.from(rows.subarray(start, start + BATCH * width), (value, i) => value - mean[i % width]!);
    const { y } = await session.run({ rows: f32(part, [part.length / width, width]) });
    out.set(y!.data as Float32Array, (start / width) * rank);
  }
  await session.release();
  return out;
}

async function kMeans(rows: Float32Array, width: number, size: number, seed: number): Promise<Float32Array> {
  const n = rows.length / width;
  const random = counterRandom(seed, "residual codes");
  const centres = new Float32Array(size * width);
  const row = (i: number) => rows.subarray(i * width, (i + 1) * width);
  for (let k = 0; k < size; k++) centres.set(row(random.integer(k, n)), k * width);
  for (let round = 0; round < ROUNDS; round++) {
    const codes = await nearest(rows, centres, width);
    const sums = new Float64Array(size * width);
    const counts = new Int32Array(size);
    codes.forEach((code, i) => {
      counts[code]!++;
      for (let j = 0; j < width; j++) sums[code * width + j]! += rows[i * width + j]!;
    });
    for (let k = 0; k < size; k++) {
      if (counts[k] === 0) centres.set(row(random.integer(size * (round + 1) + k, n)), k * width);
      else for (let j = 0; j < width; j++) centres[k * width + j] = sums[k * width + j]! / counts[k]!;
    }
  }
  return centres;
}

/** Each row's nearest centre. */
async function nearest(rows: Float32Array, centres: Float32Array, width: number): Promise<Int32Array> {
  const search = await NearestCentres.open(width);
  try {
    return await search.find(rows, centres);
  } finally {
    await search.release();
  }
}

function subtract(rows: Float32Array, centres: Float32Array, codes: Int32Array, width: number): void {
  codes.forEach((code, i) => {
    for (let j = 0; j < width; j++) rows[i * width + j]! -= centres[code * width + j]!;
  });
}

function concat(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
