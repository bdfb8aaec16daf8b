// Changes to the codes of an image, and what differs between two. Codes are [P, N] in raster order: N for each of P positions.

import type { Codes } from "../backend/backend.ts";

export function positionCount({ grid: [rows, columns] }: Codes): number {
  return rows * columns;
}

export function codesPerPosition(own: Codes): number {
  return own.codes.length / positionCount(own);
}

/** The N codes of a position. */
export function codesAt(own: Codes, position: number): readonly number[] {
  const N = codesPerPosition(own);
  return own.codes.slice(position * N, (position + 1) * N);
}

/** One code of a position changed. */
export function withCode(own: Codes, position: number, book: number, code: number): Codes {
  const codes = [...own.codes];
  codes[position * codesPerPosition(own) + book] = code;
  return { ...own, codes };
}

/** The codes of positions taken from another image of the same grid. */
export function withPositionsOf(own: Codes, other: Codes, positions: Iterable<number>): Codes {
  const N = codesPerPosition(own);
  const codes = [...own.codes];
  for (const position of positions)
    for (let book = 0; book < N; book++) codes[position * N + book] = other.codes[position * N + book]!;
  return { ...own, codes };
}

export function hasSameGrid(a: Codes, b: Codes): boolean {
  return a.grid[0] === b.grid[0] && a.grid[1] === b.grid[1] && a.codes.length === b.codes.length;
}

/** How many of its N codes differ, for each position. */
export function differences(a: Codes, b: Codes): number[] {
  const N = codesPerPosition(a);
  return Array.from({ length: positionCount(a) }, (_, position) => {
    let count = 0;
    for (let i = position * N; i < (position + 1) * N; i++) if (a.codes[i] !== b.codes[i]) count++;
    return count;
  });
}
