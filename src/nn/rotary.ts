// Tables for rotary position embedding, computed on the host and handed to graphs as inputs or constants.
// Pairs are half-split: angle j turns components j and j + E/2 (Tensor.rotary).

export interface RotaryTable {
  /** [n, E/2] */
  readonly cos: Float32Array;
  /** [n, E/2] */
  readonly sin: Float32Array;
}

/**
 * One position per row, as in the language model: angle j is position * base^(-2j/E), in float32 at every step like the
 * reference's: at position 30,000 that rounding turns by up to a thousandth of a radian, which the weights have learned with.
 */
export function rotary1d(positions: ArrayLike<number>, headWidth: number, base: number): RotaryTable {
  if (headWidth % 2 !== 0) throw new Error(`rotary1d: the head width must be even, got ${headWidth}`);
  const half = headWidth / 2;
  const inverse = Array.from({ length: half }, (_, j) => Math.fround(1 / Math.fround(base ** Math.fround(j / half))));
  return table([positions], half, inverse, Math.fround);
}

/**
 * Row angles in the first half, column angles in the second, as in the vision encoder: with d = E/2 the k-th of the
 * d/2 frequencies is theta^(-2k/d).
 */
export function rotary2d(
  rows: ArrayLike<number>,
  columns: ArrayLike<number>,
  headWidth: number,
  theta: number,
): RotaryTable {
  if (headWidth % 4 !== 0) throw new Error(`rotary2d: the head width must be a multiple of 4, got ${headWidth}`);
  if (rows.length !== columns.length) {
    throw new Error(`rotary2d: ${rows.length} rows but ${columns.length} columns`);
  }
  return table([rows, columns], headWidth / 4, frequencies(headWidth / 4, theta));
}

/** base^(-k/count) for k = 0 .. count-1 */
function frequencies(count: number, base: number): number[] {
  return Array.from({ length: count }, (_, k) => base ** (-k / count));
}

function table(
  axes: readonly ArrayLike<number>[],
  perAxis: number,
  inverse: readonly number[],
  round: (angle: number) => number = (angle) => angle,
): RotaryTable {
  const n = axes[0]!.length;
  const width = axes.length * perAxis;
  const cos = new Float32Array(n * width);
  const sin = new Float32Array(n * width);
  for (let i = 0; i < n; i++) {
    for (let a = 0; a < axes.length; a++) {
      for (let k = 0; k < perAxis; k++) {
        const angle = round(axes[a]![i]! * inverse[k]!);
        cos[i * width + a * perAxis + k] = Math.cos(angle);
        sin[i * width + a * perAxis + k] = Math.sin(angle);
      }
    }
  }
  return { cos, sin };
}
