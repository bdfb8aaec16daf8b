// Where latents and conditions lie on the image, for the rotary positions of cross-attention (reference: compute_pos_args)
// and for the sin-cos position embedding. All of it is host data: a graph sees only the resulting tables.

import { type RotaryTable, rotary2d } from "../nn/rotary.ts";

/** Base of the rotary angles, the vision encoder's. */
const THETA = 10_000;

/** Pixels a side that one code stands for in the released models. */
const CODE_PIXELS = 28;

/** Row and column of each position, in order. */
export interface GridPositions {
  readonly rows: Int32Array;
  readonly columns: Int32Array;
}

export interface CrossPositions {
  /** Of the transformer's latent patches. */
  readonly latent: GridPositions;
  /** Of the condition's entries, padding included (at 0, 0). */
  readonly condition: GridPositions;
  /** [condition rows, condition columns, latent rows, latent columns]: their ratios scale the condition's positions. */
  readonly extents: readonly [number, number, number, number];
}

export interface PositionRequest {
  /** Rows and columns of latent patches. */
  readonly latentGrid: readonly [number, number];
  /** Rows and columns of the condition's codes (after the 2 x 2 merge). */
  readonly codeGrid: readonly [number, number];
  /** Entries of the condition; two more than codes when vision_start and vision_end are among them. */
  readonly conditionLength: number;
  readonly maxConditionLength: number;
  /**
   * `raster` gives each code its true row and column and each special token the corner (0, 0).
   * `reference` does what released weights were trained with: the special tokens widen the grid, the raster starts one late
   * and so drifts by one column a row, and the latent side is taken as imageSize / 28 positions wide. `reference-codes` is its
   * recipe for drawing from codes alone: the same without special tokens, the extents counted in pixels. `demo` does what its
   * released demo does, unlike its training: it takes the codes' grid for the largest square within maxConditionLength.
   */
  readonly scheme: "raster" | "reference" | "reference-codes" | "demo";
  /** Side of the finished image in pixels, not read by `raster`. */
  readonly imageSize?: number;
}

/** Positions of latents and conditions. Throws where the condition cannot hold the grid's codes. */
export function computePositions(request: PositionRequest): CrossPositions {
  const latent = raster(...request.latentGrid);
  return request.scheme === "raster" ? rasterPositions(request, latent) : referencePositions(request, latent);
}

function rasterPositions(request: PositionRequest, latent: GridPositions): CrossPositions {
  const { codeGrid, conditionLength, maxConditionLength, latentGrid } = request;
  const codes = codeGrid[0] * codeGrid[1];
  const specials = conditionLength - codes;
  if ((specials !== 0 && specials !== 2) || conditionLength > maxConditionLength) {
    throw new Error(
      `A condition of ${conditionLength} entries does not fit ${codeGrid[0]} x ${codeGrid[1]} codes: ` +
        `expected ${codes} or, with vision_start and vision_end, ${codes + 2}, and at most ${maxConditionLength}`,
    );
  }
  const rows = new Int32Array(maxConditionLength);
  const columns = new Int32Array(maxConditionLength);
  const grid = raster(...codeGrid);
  rows.set(grid.rows, specials / 2);
  columns.set(grid.columns, specials / 2);
  return { latent, condition: { rows, columns }, extents: [...codeGrid, ...latentGrid] };
}

function referencePositions(request: PositionRequest, latent: GridPositions): CrossPositions {
  const { conditionLength, maxConditionLength, imageSize } = request;
  const guess = Math.floor(Math.sqrt(maxConditionLength));
  const codeGrid = request.scheme === "demo" ? ([guess, guess] as const) : request.codeGrid;
  if (imageSize === undefined)
    throw new Error("The reference's positions depend on the image's side: give `imageSize`");
  const [hc, plainColumns] = fitGrid(...codeGrid, maxConditionLength);
  const wc = plainColumns + Math.ceil((conditionLength - hc * plainColumns) / hc);
  if (wc < 1) throw new Error(`A condition of ${conditionLength} entries is too short for ${hc} rows of codes`);
  const rows = new Int32Array(maxConditionLength);
  const columns = new Int32Array(maxConditionLength);
  for (let k = 0; k < Math.min(hc * wc, maxConditionLength); k++) {
    rows[k] = Math.floor(k / wc);
    columns[k] = k % wc;
  }
  const isPixels = request.scheme === "reference-codes";
  const side = isPixels ? imageSize : Math.floor(imageSize / CODE_PIXELS);
  const scale = isPixels ? CODE_PIXELS : 1;
  return { latent, condition: { rows, columns }, extents: [hc * scale, wc * scale, side, side] };
}

/** The grid itself, or the largest of about its shape with at most `max` positions. */
function fitGrid(rows: number, columns: number, max: number): [number, number] {
  if (rows * columns <= max) return [rows, columns];
  const beta = Math.sqrt((rows * columns) / max);
  return [Math.max(1, Math.floor(rows / beta)), Math.max(1, Math.floor(columns / beta))];
}

/** Condition positions stretched to the latents' extent, whole numbers; never shrunk. */
export function scaleToLatents({ condition, extents }: CrossPositions): GridPositions {
  const [conditionRows, conditionColumns, latentRows, latentColumns] = extents;
  return {
    rows: stretch(condition.rows, Math.max(1, latentRows / conditionRows)),
    columns: stretch(condition.columns, Math.max(1, latentColumns / conditionColumns)),
  };
}

// The product is rounded to float32 before it is truncated, as the reference's tensors are: 7 * 36/21 is then 12, not 11.
function stretch(positions: Int32Array, scale: number): Int32Array {
  return positions.map((position) => Math.trunc(Math.fround(position * Math.fround(scale))));
}

/** Rotary tables of cross-attention: latent [n, E/2], condition [maxConditionLength, E/2]. */
export function crossRotaryTables(
  positions: CrossPositions,
  headWidth: number,
  usePositionScale: boolean,
): { latent: RotaryTable; condition: RotaryTable } {
  const condition = usePositionScale ? scaleToLatents(positions) : positions.condition;
  const { latent } = positions;
  return {
    latent: rotary2d(latent.rows, latent.columns, headWidth, THETA),
    condition: rotary2d(condition.rows, condition.columns, headWidth, THETA),
  };
}

/**
 * Sin-cos embedding of a grid, [rows * columns, D]: the first half of the channels holds [sin, cos] of the column, the second of
 * the row. Coordinates are stretched to `base` positions a side and divided by `interpolation`.
 */
export function sinCosPositions(
  rows: number,
  columns: number,
  D: number,
  base: number,
  interpolation: number,
): Float32Array {
  const quarter = D / 4;
  const table = new Float32Array(rows * columns * D);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const coordinates = [j / (columns / base) / interpolation, i / (rows / base) / interpolation];
      for (const [half, coordinate] of coordinates.entries()) {
        const start = (i * columns + j) * D + half * 2 * quarter;
        for (let k = 0; k < quarter; k++) {
          const angle = coordinate * 10_000 ** (-k / quarter);
          table[start + k] = Math.sin(angle);
          table[start + quarter + k] = Math.cos(angle);
        }
      }
    }
  }
  return table;
}

function raster(rows: number, columns: number): GridPositions {
  const n = rows * columns;
  return {
    rows: Int32Array.from({ length: n }, (_, k) => Math.floor(k / columns)),
    columns: Int32Array.from({ length: n }, (_, k) => k % columns),
  };
}
