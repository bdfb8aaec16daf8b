// kelix imagine --prompts FILE: draws many prompts into the folder layout of GenEval's evaluation (arXiv:2310.11513).
//
//   OUT/00000/metadata.jsonl      the prompt's own line
//   OUT/00000/samples/00000.png   .. one per seed
//   OUT/00000/grid.png            all of them side by side

import { join } from "node:path";
import { makeOutputFolder } from "../hub/make-folder.ts";
import { encodePng, InputError, loadImage, openOutput, type RawImage, type RgbImage, readInput } from "../index.ts";
import { inputPath } from "./inputs.ts";
import { quote } from "./quote.ts";
import { interrupted } from "./terminal.ts";

export interface PromptRow {
  readonly prompt: string;
  /** The line that goes into metadata.jsonl. */
  readonly line: string;
}

const MAX_FILE_BYTES = 100_000_000;

/** Reads prompts: one per line, as a JSON object with `prompt` (GenEval's metadata) or plain text. Throws an InputError. */
export async function readPrompts(file: string): Promise<PromptRow[]> {
  const limits = { maxBytes: MAX_FILE_BYTES, signal: interrupted.signal };
  return parsePrompts(new TextDecoder().decode(await readInput(inputPath(file), limits)), file);
}

export function parsePrompts(content: string, name: string): PromptRow[] {
  const rows: PromptRow[] = [];
  for (const [i, text] of content.split(/\r?\n/).entries()) {
    const line = text.trim();
    if (line === "") continue;
    if (!line.startsWith("{")) {
      rows.push({ prompt: line, line: JSON.stringify({ prompt: line }) });
      continue;
    }
    const prompt = promptOf(line);
    if (prompt === undefined)
      throw new InputError(`${name}, line ${i + 1}: expected an object with a text \`prompt\`, got ${quote(line)}`);
    rows.push({ prompt, line });
  }
  if (rows.length === 0) throw new InputError(`${name}: contains no prompts`);
  return rows;
}

function promptOf(line: string): string | undefined {
  try {
    const { prompt } = JSON.parse(line) as { prompt?: unknown };
    return typeof prompt === "string" && prompt.trim() !== "" ? prompt : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Draws each prompt and writes its folder under `out`; returns the folders. Files of the same name are replaced, other files in
 * `out` stay.
 */
export async function drawPrompts(
  rows: readonly PromptRow[],
  out: string,
  draw: (prompt: string, index: number) => Promise<readonly RawImage[]>,
): Promise<string[]> {
  const folders: string[] = [];
  for (const [index, { prompt, line }] of rows.entries()) {
    interrupted.signal.throwIfAborted();
    const folder = join(out, String(index).padStart(5, "0"));
    await makeOutputFolder(join(folder, "samples"));
    const images = await draw(prompt, index);
    for (const [i, image] of images.entries()) {
      await write(join(folder, "samples", `${String(i).padStart(5, "0")}.png`), await encodePng(image));
    }
    await write(
      join(folder, "grid.png"),
      await encodePng(sideBySide(await Promise.all(images.map((image) => loadImage(image))))),
    );
    await write(join(folder, "metadata.jsonl"), Buffer.from(`${line}\n`));
    folders.push(folder);
  }
  return folders;
}

async function write(path: string, bytes: Uint8Array): Promise<void> {
  await (await openOutput(path)).write(bytes);
}

/** Images of equal height, side by side. */
function sideBySide(images: readonly RgbImage[]): RgbImage {
  const height = Math.max(...images.map((image) => image.height));
  const width = images.reduce((sum, image) => sum + image.width, 0);
  const data = new Uint8Array(width * height * 3).fill(255);
  let left = 0;
  for (const image of images) {
    for (let y = 0; y < image.height; y++) {
      const row = image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3);
      data.set(row, (y * width + left) * 3);
    }
    left += image.width;
  }
  return { width, height, data };
}
