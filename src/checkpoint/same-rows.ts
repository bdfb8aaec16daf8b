// Whether two tensors of gigabytes hold the same, judged by samples: a few hundred kilobytes are read.

import { isQuantized } from "../runtime/weight-source.ts";
import type { Checkpoint } from "./checkpoint.ts";

const SAMPLES = 64;

/** Compares evenly spread rows of two tensors. Tensors of another dtype or shape are never the same. */
export async function haveSameRows(checkpoint: Checkpoint, nameA: string, nameB: string): Promise<boolean> {
  const [a, b] = [checkpoint.find(nameA), checkpoint.find(nameB)];
  if (!a || !b || isQuantized(a) || isQuantized(b)) return false;
  if (a.dtype !== b.dtype || `${a.shape}` !== `${b.shape}`) return false;
  const rows = a.shape[0] ?? 0;
  for (let i = 0; i < Math.min(SAMPLES, rows); i++) {
    const row = Math.floor(((rows - 1) * i) / (SAMPLES - 1));
    const [x, y] = await Promise.all([nameA, nameB].map((name) => checkpoint.read(name, [row, row + 1])));
    if (!x!.data.every((value, at) => Object.is(value, y!.data[at]))) return false;
  }
  return true;
}
