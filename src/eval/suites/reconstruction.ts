// reconstruction: held-out drawings through their codes and back, at the model's own settings. Measures fidelity (PSNR, SSIM), whether
// the judge still recognises them, and how evenly the codebooks are used, all on the same images.

import { resize } from "../../image/resize.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { pixelError } from "../../train/metrics.ts";
import { openResidualCodes, throughResidualCodes } from "../floors/residual-codes.ts";
import { DRAWING_SIDE, findTrainingDrawings } from "../floors/training-drawings.ts";
import { openHeldOut } from "../heldout.ts";
import { type Measure, meanOf, shareOf, statisticOf } from "../measure.ts";
import { ssim } from "../ssim.ts";
import { itemCount, MOST_SAMPLES, percent, type Sample, type Suite, type SuiteContext, spread } from "../suite.ts";
import { findJudge } from "./held-out.ts";

interface Item {
  readonly image: RgbImage;
  readonly again: RgbImage;
  readonly hexcode: string;
  readonly name: string;
  readonly isKnown: boolean;
  readonly psnr: number;
  readonly ssim: number;
  /** By codebook, the codes of all positions. */
  readonly codes: readonly (readonly number[])[];
}

/** Larger codebooks would take hours to fit without a network. */
const MOST_FLOOR_CODES = 1024;

export const reconstruction: Suite = {
  about: "reconstructs held-out emoji from their codes alone",
  units: { psnr: "dB", ssim: "ratio", perplexity: "count" },
  async run(context) {
    const all = await openHeldOut();
    const chosen = spread(all, itemCount(context, all.length));
    const items: Item[] = [];
    for (const [i, { image, hexcode, name, isKnownConcept: isKnown }] of chosen.entries()) {
      context.step("reconstruction", i, chosen.length);
      const { codes } = await context.model.tokenize(image);
      const drawn = await context.model.reconstruct(image, context.seed + i);
      const again = resize(drawn, image.width, image.height);
      const own = { psnr: pixelError([image], [again]).psnr, ssim: ssim(image, again) };
      items.push({ image, again, hexcode, name, isKnown, ...own, codes: byBook(codes, context.model.codebooks) });
    }
    const { codebooks, codesPerBook } = context.model;
    const worst = worstBook(items, codebooks);
    const books = Array.from({ length: codebooks }, (_, book) => ({
      use: useOf(items, book, codesPerBook),
      perplexity: perplexityOf(items, book),
    }));
    const floors = await residualFloors(context, items);
    const measures: Record<string, Measure> = {
      psnr: meanOf(
        items.map(({ psnr }) => psnr),
        floors,
      ),
      ssim: meanOf(items.map((item) => item.ssim)),
      ...(await recognised(context, items)),
      bookUse: statisticOf(items, (own) => Math.min(...books.map((_, book) => useOf(own, book, codesPerBook)))),
      perplexity: statisticOf(items, (own) => perplexityOf(own, worst)),
    };
    const details = [
      ...books.map(({ use, perplexity }, i) => ({
        name: `book ${i + 1}`,
        text: `${percent(use)} of ${codesPerBook} codes in use, perplexity ${perplexity.toFixed(1)}`,
      })),
      { name: "held-out concepts", text: psnrOf(items.filter(({ isKnown }) => !isKnown)) },
    ];
    const samples = items.map(
      (item): Sample => ({
        images: [
          { label: item.name, image: item.image },
          { label: "from codes", image: item.again },
        ],
        text: `${item.psnr.toFixed(1)} dB`,
      }),
    );
    return { measures, details, samples: spread(samples, MOST_SAMPLES) };
  },
};

function psnrOf(items: readonly Item[]): string {
  if (items.length === 0) return "none among these";
  return `${(items.reduce((sum, { psnr }) => sum + psnr, 0) / items.length).toFixed(2)} dB over ${items.length}`;
}

/** codes [P * N], position by position -> [N][P] */
export function byBook(codes: ArrayLike<number>, books: number): number[][] {
  const out = Array.from({ length: books }, () => [] as number[]);
  for (let i = 0; i < codes.length; i++) out[i % books]!.push(codes[i]!);
  return out;
}

type Coded = Pick<Item, "codes">;

function countsOf(items: readonly Coded[], book: number): number[] {
  const counts = new Map<number, number>();
  for (const { codes } of items) for (const code of codes[book]!) counts.set(code, (counts.get(code) ?? 0) + 1);
  return [...counts.values()];
}

/** Share of a codebook's codes in use. */
export function useOf(items: readonly Coded[], book: number, size: number): number {
  return countsOf(items, book).length / size;
}

/** 2 to the entropy in bits of a codebook's codes: the equivalent number of equally frequent codes. */
export function perplexityOf(items: readonly Coded[], book: number): number {
  const counts = countsOf(items, book);
  const total = counts.reduce((sum, count) => sum + count, 0);
  return 2 ** -counts.reduce((sum, count) => sum + (count / total) * Math.log2(count / total), 0);
}

function worstBook(items: readonly Coded[], books: number): number {
  const perplexities = Array.from({ length: books }, (_, book) => perplexityOf(items, book));
  return perplexities.indexOf(Math.min(...perplexities));
}

/** The floor with as many bytes but no network, on these images, with all codebooks and with one. */
async function residualFloors(context: SuiteContext, items: readonly Item[]): Promise<Record<string, number>> {
  const { codebooks: books, codesPerBook: size } = context.model;
  const drawings = await findTrainingDrawings(context.cacheFolder);
  const grid = Math.sqrt(items[0]!.codes[0]!.length);
  const patch = DRAWING_SIDE / grid;
  if (!drawings || size > MOST_FLOOR_CODES || !Number.isInteger(patch)) {
    context.log(
      drawings
        ? "reconstruction: no floor without a network for codebooks of this size or this grid"
        : "reconstruction: without the training drawings (`kelix data`) there are no floors and no judge",
    );
    return {};
  }
  const codes = await openResidualCodes(context.cacheFolder, drawings, { patch, books, size }, context.log);
  const psnr = async (count: number) => {
    let sum = 0;
    for (const { image } of items) sum += pixelError([image], [await throughResidualCodes(image, codes, count)]).psnr;
    return sum / items.length;
  };
  return { residualCodes: await psnr(books), oneResidualCode: await psnr(1) };
}

/** For known concepts: whether the judge names the image decoded from codes, and the originals for comparison. */
async function recognised(context: SuiteContext, items: readonly Item[]): Promise<Record<string, Measure>> {
  const judge = await findJudge(context, "reconstruction");
  if (!judge) return {};
  const known = items.filter(({ isKnown }) => isKnown);
  context.step("judging", 0, 1);
  const isRight = async (images: readonly RgbImage[]) =>
    (await judge.rank(images)).map(({ labels }, i) => labels[0] === known[i]!.hexcode);
  const originals = shareOf(await isRight(known.map(({ image }) => image)));
  const drawn = await isRight(known.map(({ again }) => again));
  await judge.release();
  const chance =
    1 / new Set((await openHeldOut()).filter(({ isKnownConcept }) => isKnownConcept).map((p) => p.hexcode)).size;
  return { recognised: shareOf(drawn, { originals: originals.value, chance }) };
}
