// Pictures as codes in a safetensors file: u16 tensors [P, N] named `codes` (or `codes.0`, `codes.1`, .. for several),
// their grids and sources in the metadata.

import { CheckpointError } from "../checkpoint/checkpoint-error.ts";
import { openSafetensors, writeSafetensors } from "../checkpoint/safetensors.ts";
import type { ImageCodes } from "../index.ts";
import { hostTensor } from "../runtime/host-tensor.ts";

export interface NamedCodes extends ImageCodes {
  readonly image: string;
}

export async function writeCodes(path: string, pictures: readonly NamedCodes[], model: string): Promise<void> {
  const tensors = pictures.map(({ grid, codes }, i) => {
    const positions = grid[0] * grid[1];
    return [tensorName(i, pictures.length), hostTensor("u16", codes, [positions, codes.length / positions])] as const;
  });
  const facts = pictures.map(({ image, grid }, i) => [tensorName(i, pictures.length), JSON.stringify({ image, grid })]);
  await writeSafetensors(path, tensors.map(([name, tensor]) => [name, tensor]), { format: "kelix-codes", model, ...Object.fromEntries(facts) });
}

/** Reads what writeCodes wrote; throws a CheckpointError for anything else. Ranges are checked by the model. */
export async function readCodes(path: string): Promise<NamedCodes[]> {
  const file = await openSafetensors(path);
  try {
    const names = [...file.tensors.keys()].filter((name) => /^codes(\.\d+)?$/.test(name)).sort((a, b) => Number(a.slice(6)) - Number(b.slice(6)));
    if (names.length === 0) throw new CheckpointError(`${path}: has no tensor \`codes\`; expected a file written by kelix tokenize`);
    return await Promise.all(
      names.map(async (name) => {
        const tensor = await file.read(name);
        const { image, grid } = parseFacts(path, name, file.metadata[name]);
        if (tensor.dtype !== "u16" || tensor.shape.length !== 2 || tensor.shape[0] !== grid[0] * grid[1]) {
          throw new CheckpointError(`${path}: ${name} is ${tensor.dtype} [${tensor.shape}], expected u16 [${grid[0] * grid[1]}, N] for a grid of ${grid[0]} x ${grid[1]}`);
        }
        return { image, grid, codes: tensor.data as Uint16Array };
      }),
    );
  } finally {
    await file.close();
  }
}

function parseFacts(path: string, name: string, text: string | undefined): { image: string; grid: readonly [number, number] } {
  try {
    const { image, grid } = JSON.parse(text ?? "") as { image: unknown; grid: unknown };
    if (typeof image === "string" && Array.isArray(grid) && grid.length === 2 && grid.every((n) => Number.isInteger(n) && n > 0)) {
      return { image, grid: grid as [number, number] };
    }
  } catch {
    // Falls through to the one message below.
  }
  throw new CheckpointError(`${path}: its metadata does not give the grid of ${name}, such as {"image":"a.png","grid":[6,6]}`);
}

function tensorName(i: number, count: number): string {
  return count === 1 ? "codes" : `codes.${i}`;
}
