// Pictures as codes in a safetensors file: u16 tensors [P, N] named `codes`, or `codes.0`, `codes.1`, .. for several.
// The metadata tells under the like names (`grid` or `grid.0`) each grid and the picture's size and name, as JSON.

import { basename } from "node:path";
import { openSafetensors, writeSafetensors } from "../checkpoint/safetensors.ts";
import { ModelError } from "../errors.ts";
import type { CodeFields } from "../index.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import { publicUrl } from "../safe-url.ts";

export interface NamedCodes extends CodeFields {
  readonly image: string;
}

/** Writes the codes of one or more pictures; the file appears whole or not at all. */
export async function writeCodes(path: string, pictures: readonly NamedCodes[], model: string): Promise<void> {
  const suffix = (i: number) => (pictures.length === 1 ? "" : `.${i}`);
  const tensors = pictures.map(({ grid, codes }, i) => {
    const positions = grid[0] * grid[1];
    return [`codes${suffix(i)}`, hostTensor("u16", codes, [positions, codes.length / positions])] as const;
  });
  const facts = pictures.flatMap(({ image, grid, width, height }, i) => [
    [`image${suffix(i)}`, JSON.stringify(imageName(image))],
    [`grid${suffix(i)}`, JSON.stringify(grid)],
    [`size${suffix(i)}`, JSON.stringify([width, height])],
  ]);
  await writeSafetensors(path, tensors, { format: "kelix-codes", model, ...Object.fromEntries(facts) });
}

/** The last part of a path or an address; a data URL has none. */
function imageName(image: string): string {
  const name = publicUrl(image);
  return name.startsWith("data:") ? name : basename(name);
}

/** Reads what writeCodes wrote; throws a ModelError for anything else. The model checks the ranges of its books. */
export async function readCodes(path: string): Promise<CodeFields[]> {
  const file = await openSafetensors(path);
  try {
    const number = (name: string) => Number(name.slice("codes.".length));
    const names = [...file.tensors.keys()].filter((name) => /^codes(\.\d+)?$/.test(name));
    if (names.length === 0) {
      throw new ModelError(`${path}: has no tensor \`codes\`; expected a file written by kelix tokenize`);
    }
    const pictures: CodeFields[] = [];
    for (const name of names.sort((a, b) => number(a) - number(b))) {
      const tensor = await file.read(name);
      const [P, N] = tensor.shape;
      if (tensor.shape.length !== 2 || !P || !N) {
        throw new ModelError(`${path}: ${name} has the shape [${tensor.shape}], expected [P, N]`);
      }
      const grid = parseGrid(path, name, P, file.metadata[name.replace("codes", "grid")]);
      pictures.push({ grid, codes: toCodes(`${path}: ${name}`, tensor) });
    }
    return pictures;
  } finally {
    await file.close();
  }
}

const MAX_CODE = 65_535;

/** Integers of any width as codes. */
function toCodes(name: string, { dtype, data }: HostTensor): Uint16Array {
  if (!/^[iu]\d+$/.test(dtype)) throw new ModelError(`${name} is ${dtype}, expected integers`);
  const codes = Array.from(data as Iterable<number | bigint>, Number);
  const bad = codes.find((code) => code < 0 || code > MAX_CODE);
  if (bad !== undefined) throw new ModelError(`${name} holds ${bad}, expected codes from 0 to ${MAX_CODE}`);
  return Uint16Array.from(codes);
}

function parseGrid(path: string, name: string, positions: number, text: string | undefined): readonly [number, number] {
  const grid = parseList(text);
  const [rows, columns] = grid;
  if (grid.length !== 2 || !Number.isInteger(rows) || !Number.isInteger(columns) || rows! < 1 || columns! < 1) {
    throw new ModelError(`${path}: its metadata does not give the grid of ${name}, such as "grid": "[6,6]"`);
  }
  if (rows! * columns! !== positions) {
    throw new ModelError(`${path}: ${name} has ${positions} positions, its grid is ${rows} x ${columns}`);
  }
  return [rows!, columns!];
}

function parseList(text = ""): number[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
