// Files of image codes, in two formats. safetensors: u16 tensors [P, N] named `codes`, or `codes.0`, `codes.1`, .. for several; metadata
// entries of matching names (`grid` or `grid.0`) hold each grid and the image's size and name as JSON. JSON: a list of the library's codes
// as JSON.stringify writes them, with names.

import { basename } from "node:path";
import * as z from "zod";
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";
import { type ErrorCode, InputError, quote } from "../errors.ts";
import { isStream, readInput } from "../files/input.ts";
import { OpenFile } from "../files/open-file.ts";
import { publicUrl } from "../files/safe-url.ts";
import type { Output } from "../output/output.ts";
import { openSafetensorsAt, parseSafetensors, writeSafetensors } from "../quantize/safetensors-file.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import type { CodeFields } from "../vision/image-codes.ts";

/** Codes read from a file. The name of the image may be missing. */
export interface StoredCodes extends CodeFields {
  readonly image?: string;
}

export interface NamedCodes extends CodeFields {
  /** The image's name in the file. */
  readonly image: string;
}

const suffix = (path: string) => /\.(safetensors|json)$/i.exec(path)?.[1]?.toLowerCase();

/** Throws an InputError for an output with another suffix. Outputs without a suffix that are not files get safetensors. */
export function checkCodesOutput({ name, isFile }: Output): void {
  if (suffix(name) !== undefined || (!isFile && !/\.\w+$/.test(name))) return;
  throw new InputError(`${quote(name)}: the suffix decides the format: expected .safetensors or .json`, {
    code: "output_refused",
  });
}

/** Writes the codes of one or more images. */
export async function writeCodes(
  output: Pick<Output, "name" | "write">,
  images: readonly NamedCodes[],
  model: string,
): Promise<void> {
  if (suffix(output.name) === "json") {
    const list = images.map(({ image, grid, codes, width, height }) => {
      return { image, grid, width, height, codes: [...codes] };
    });
    const text = JSON.stringify({ format: "kelix-codes", model, images: list });
    return output.write(new TextEncoder().encode(`${text}\n`));
  }
  const end = (i: number) => (images.length === 1 ? "" : `.${i}`);
  const tensors = images.map(({ grid, codes }, i) => {
    const positions = grid[0] * grid[1];
    return [`codes${end(i)}`, hostTensor("u16", codes, [positions, codes.length / positions])] as const;
  });
  const facts = images.flatMap(({ image, grid, width, height }, i) => [
    [`image${end(i)}`, JSON.stringify(image)],
    [`grid${end(i)}`, JSON.stringify(grid)],
    [`size${end(i)}`, JSON.stringify([width, height])],
  ]);
  await writeSafetensors(output, tensors, { format: "kelix-codes", model, ...Object.fromEntries(facts) });
}

/** The name of an image in a file of codes: the last part of its path or URL; none for a data: URL. */
export function imageName(image: string): string {
  const name = publicUrl(image);
  return name.startsWith("data:") ? name : basename(name);
}

/** Enough for a million positions of eight codes as JSON, more than any model reads. */
const MAX_TEXT_BYTES = 64_000_000;
/** Per file. With four names each, the header stays within the limits of safetensors readers. */
export const MAX_IMAGES = 50_000;
/** No model has more. Bounds what is read of an untrusted file before the model's own limits are known. */
const MAX_POSITIONS = 65_536;
const MAX_BOOKS = 64;
const MAX_CODE = 65_535;
const WRONG = { code: "invalid_codes" } as const satisfies { code: ErrorCode };

/** Reads codes from a file or a pipe. Throws an InputError for anything else. The model checks the ranges of its codebooks. */
export async function readCodes(path: string, signal?: AbortSignal): Promise<StoredCodes[]> {
  if ((await isStream(path)) || isJson(await readHead(path)))
    return parseCodes(await readInput(path, { maxBytes: MAX_TEXT_BYTES, ...WRONG, ...(signal && { signal }) }), path);
  const file = await openSafetensorsAt(path);
  try {
    return await readTensors(file, path);
  } finally {
    await file.close();
  }
}

/** Parses a file of codes. The first byte tells its format. */
export async function parseCodes(bytes: Uint8Array, name: string): Promise<StoredCodes[]> {
  return isJson(bytes) ? parseList(bytes, name) : readTensors(await parseSafetensors(bytes.slice(), name), name);
}

/** Whether a plain file contains codes, by its name or its first bytes. */
export async function holdsCodes(path: string): Promise<boolean> {
  return suffix(path) !== undefined || areCodes(await readHead(path));
}

const HEAD_BYTES = 64;

/** The first bytes of a file; none if it cannot be read, which its reader reports. */
async function readHead(path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(HEAD_BYTES);
  const file = await OpenFile.open(path).catch(() => undefined);
  const read = await file?.read(bytes, 0, HEAD_BYTES, 0).catch(() => undefined);
  await file?.close();
  return bytes.subarray(0, read?.bytesRead ?? 0);
}

/** Whether bytes begin like a file of codes: with JSON, or with a header's length and the header. */
export function areCodes(bytes: Uint8Array): boolean {
  return isJson(bytes) || (bytes[8] === OPENING[0] && bytes[7] === 0 && bytes[6] === 0);
}

const OPENING = new TextEncoder().encode("{[");

function isJson(bytes: Uint8Array): boolean {
  const first = bytes.find((byte) => byte > 32);
  // A safetensors file with a header of 123 bytes also begins with {, followed by zeros.
  return first !== undefined && OPENING.includes(first) && bytes[7] !== 0;
}

async function readTensors(file: SafetensorsFile, path: string): Promise<StoredCodes[]> {
  const number = (name: string) => Number(name.slice("codes.".length));
  const names = [...file.tensors.keys()].filter((name) => /^codes(\.\d+)?$/.test(name));
  if (names.length === 0)
    throw new InputError(`${path}: has no tensor \`codes\`; expected a file written by kelix tokenize`, WRONG);
  checkCount(names.length, path);
  const images: StoredCodes[] = [];
  for (const name of names.sort((a, b) => number(a) - number(b))) {
    const { shape, dtype } = file.tensors.get(name)!;
    const [P, N] = shape;
    if (shape.length !== 2 || !P || !N)
      throw new InputError(`${path}: ${name} has the shape [${shape.slice(0, 9)}], expected [P, N]`, WRONG);
    checkSize(P, N, `${path}: ${name}`);
    const grid = parseGrid(path, name, P, file.metadata[name.replace("codes", "grid")]);
    if (!/^[iu]\d+$/.test(dtype)) throw new InputError(`${path}: ${name} is ${dtype}, expected integers`, WRONG);
    const image = parseJson(file.metadata[name.replace("codes", "image")] ?? "");
    const codes = toCodes(`${path}: ${name}`, await file.read(name));
    images.push({ ...(typeof image === "string" && { image }), grid, codes });
  }
  return images;
}

/** Throws an InputError if there are more images than one file may hold. */
export function checkCount(images: number, name: string): void {
  if (images <= MAX_IMAGES) return;
  throw new InputError(`${name}: ${images} images; a file of codes holds at most ${MAX_IMAGES}`, WRONG);
}

function checkSize(P: number, N: number, name: string): void {
  if (P <= MAX_POSITIONS && N <= MAX_BOOKS) return;
  throw new InputError(
    `${name} has ${P} positions of ${N} codes; at most ${MAX_POSITIONS} of ${MAX_BOOKS} are read`,
    WRONG,
  );
}

/** Integers of any width as codes. */
function toCodes(name: string, { data }: HostTensor): Uint16Array {
  const codes = Array.from(data as Iterable<number | bigint>, Number);
  const bad = codes.find((code) => code < 0 || code > MAX_CODE);
  if (bad !== undefined) throw new InputError(`${name} holds ${bad}, expected codes from 0 to ${MAX_CODE}`, WRONG);
  return Uint16Array.from(codes);
}

function parseGrid(path: string, name: string, positions: number, text: string | undefined): readonly [number, number] {
  const { data: grid } = gridSchema.safeParse(parseJson(text ?? ""));
  if (!grid)
    throw new InputError(`${path}: its metadata does not give the grid of ${name}, such as "grid": "[6,6]"`, WRONG);
  const [rows, columns] = grid;
  if (rows * columns !== positions)
    throw new InputError(`${path}: ${name} has ${positions} positions, its grid is ${rows} x ${columns}`, WRONG);
  return grid;
}

const side = z.int().min(1).max(MAX_POSITIONS);
const gridSchema = z.tuple([side, side]);
const fieldsSchema = z.object({
  grid: gridSchema,
  codes: z.array(z.int().min(0).max(MAX_CODE)).transform((list) => Uint16Array.from(list)),
  width: side.optional().catch(undefined),
  height: side.optional().catch(undefined),
});
/** Accepts a single image's codes too, or a plain list of them, as a program may write them. */
const listSchema = z.union([
  z.object({ images: z.array(fieldsSchema).min(1) }).transform(({ images }) => images),
  z.array(fieldsSchema).min(1),
  fieldsSchema.transform((fields) => [fields]),
]);

function parseList(bytes: Uint8Array, name: string): CodeFields[] {
  const value = parseJson(new TextDecoder().decode(bytes));
  const { data } = listSchema.safeParse(value);
  if (!data)
    throw new InputError(
      `${name}: holds no codes as kelix tokenize writes them: {"images": [{"grid": [6, 6], "codes": [..]}]}`,
      WRONG,
    );
  checkCount(data.length, name);
  for (const [i, { grid, codes }] of data.entries()) {
    const [P, N] = [grid[0] * grid[1], codes.length / (grid[0] * grid[1])];
    if (!Number.isInteger(N) || N < 1)
      throw new InputError(`${name}: image ${i} has ${codes.length} codes, which do not fill ${P} positions`, WRONG);
    checkSize(P, N, `${name}: image ${i}`);
  }
  return data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
