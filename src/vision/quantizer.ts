// Splits each position into N parts and replaces each part by the nearest entry of its codebook.
// The raw table is frozen and moves as a whole through one trained linear layer (SimVQ, arXiv:2411.02038).

import { linear } from "../nn/linear.ts";
import { layerNorm } from "../nn/norm.ts";
import { init, type Params } from "../tensor/params.ts";
import { concat, type Tensor } from "../tensor/tensor.ts";
import { bookSize, codeWidth, type TokenizerConfig } from "./config.ts";

const NORM_EPS = 1e-5;

export interface Quantized {
  /** i32 [M, N], each 0 .. S/N-1 */
  readonly codes: Tensor;
  /** One [M, d] for each book: what was compared with the codes (after z_norm). */
  readonly z: readonly Tensor[];
  /** One [M, d] for each book: the chosen entries. */
  readonly e: readonly Tensor[];
  /** One [M, d] for each book: the value of `e` with the gradient going to `z` (straight-through). */
  readonly zq: readonly Tensor[];
  /** One [S/N, d] for each book. */
  readonly books: readonly Tensor[];
}

/** Quantises ze [M, N*d], book i taking columns i*d .. (i+1)*d. p holds `quantizer.{i}`. */
export function quantize(p: Params, ze: Tensor, config: TokenizerConfig): Quantized {
  const { n_q_tokens: N } = config;
  const parts = ze.split(1, new Array<number>(N).fill(codeWidth(config)));
  const books = parts.map((_, i) => codebook(p, i, config));
  const z = parts.map((part, i) => layerNorm(p.at("quantizer", i, "z_norm"), part, NORM_EPS));
  const nearest = z.map((part, i) => nearestCode(part, books[i]!));
  const e = books.map((book, i) => book.gather(nearest[i]!));
  const zq = z.map((part, i) => part.add(e[i]!.sub(part).stopGradient()));
  return {
    codes: concat(
      nearest.map((codes) => codes.reshape([codes.dim(0), 1])),
      1,
    ),
    z,
    e,
    zq,
    books,
  };
}

/** The entries that book i offers: its own slice of its own whole table, moved and normed. [S/N, d] */
export function codebook(p: Params, i: number, config: TokenizerConfig): Tensor {
  const book = p.at("quantizer", i);
  const width = config.init_embedding_dim;
  const table = book.at("embedding").get("weight", [config.codebook_size, width], init.normal(width ** -0.5));
  const rows = table.slice(0, ...bookRows(i, config)).stopGradient();
  return layerNorm(book.at("q_norm"), linear(book.at("embedding_proj"), rows, codeWidth(config)), NORM_EPS);
}

/** The rows of book i's table that it offers. The others are never read. */
export function bookRows(i: number, config: TokenizerConfig): readonly [start: number, end: number] {
  const size = bookSize(config);
  const start = config.split_voc > 1 ? i * size : 0;
  return [start, start + size];
}

/** The entries that given codes stand for. codes i32 [M, N] -> one [M, d] for each book. */
export function lookUpCodes(p: Params, codes: Tensor, config: TokenizerConfig): Tensor[] {
  const [M, N] = codes.dims(2);
  if (N !== config.n_q_tokens) throw new Error(`Expected ${config.n_q_tokens} codes for each position, got ${N}`);
  const columns = codes.split(1, new Array<number>(N).fill(1));
  return columns.map((column, i) => codebook(p, i, config).gather(column.reshape([M!])));
}

/** The entry with the least |z - b|^2; |z|^2 is the same for all of a row and left out. z [M, d] -> i32 [M] */
function nearestCode(z: Tensor, book: Tensor): Tensor {
  const lengths = book.square().sum([1]).stopGradient(); // [S/N]
  const products = z.stopGradient().matmul(book.stopGradient(), { transB: true, scale: -2 }); // [M, S/N]
  return products.add(lengths).argmin();
}
