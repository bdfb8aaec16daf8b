// Initializes quantization from a vision encoder trained on continuous features: the tokenizer's `encoder` and `up_projectors`
// are refitted so that each codebook gets an equal share of what the features predict, and codebooks start at
// k-means centres of exactly these numbers.
//
// A codebook's numbers pass through a layer norm, which would remove their mean and length. So two numbers of each carry a constant:
// the norm then hardly changes the others. They come out as a 0 and a 1, and the 1 carries the embeddings' mean.

import { InputError } from "../../errors.ts";
import { counterRandom } from "../../random/counter.ts";
import { joinFloats } from "../../runtime/host-tensor.ts";
import { bookSize, codeWidth, type TokenizerConfig } from "../../vision/config.ts";
import { kMeans } from "../kmeans.ts";
import { applyLinear, RidgeProbe } from "../linear-probe.ts";
import { openCheckpointAt } from "../open-checkpoint.ts";
import type { ParameterStore } from "../parameter-store.ts";
import { balanceGroups, predictiveComponents } from "../principal.ts";
import { productRotation } from "../product-rotation.ts";
import { collect, type QuantizerContext, type Sample, type StartContext } from "./start-sample.ts";
import type { Model } from "./tokenizer-graph.ts";

/** Numbers of a codebook that carry the constant. */
const CARRIERS = 2;
/** The constant, in multiples of the root mean square length of a codebook's other numbers: at 4 the norm distorts them by 3 %. */
const CONSTANT = 4;

/** Copies the vision stage's weights and initializes `encoder`, norms, codebooks and `up_projectors` as described above. */
export async function startFromVision(start: NonNullable<Model["start"]>, context: StartContext): Promise<void> {
  const { store, model, log } = context;
  const config = model.config.tokenizer_config;
  const d = codeWidth(config);
  if (config.init_embedding_dim !== d || d <= CARRIERS) {
    throw new InputError(
      `codebooks start at centres of ${d} numbers of which ${CARRIERS} are constant; init_embedding_dim must be ${d}`,
    );
  }
  const checkpoint = await openCheckpointAt(start.weights);
  const taken = await takeOver(checkpoint, store);
  log(`${start.weights}: ${taken} of ${store.parameters.size} parameters`);
  const sample = await collect(checkpoint, start, context);
  await checkpoint.close();
  await startQuantizer(sample, { ...context, rounds: start.rounds });
}

/** Initializes `encoder`, norms, codebooks and `up_projectors`, so that codes say of a sample's embeddings what its targets need. */
export async function startQuantizer(sample: Sample, context: QuantizerContext): Promise<void> {
  const { store, model, seed, log, session } = context;
  const config = model.config.tokenizer_config;
  const { n_q_tokens: N, output_dim: D } = config;
  const d = codeWidth(config);
  const used = d - CARRIERS;
  const encoder = fitEncoder(await divide(sample, context), sample.mean, config);
  const apply = await applyLinear(transposed(encoder.weight, encoder.bias, N * d), config.llm_hidden_size, N * d);
  const up = await RidgeProbe.open(N * used, D);
  const parts: Float32Array[] = [];
  for (const { projected, embeddings } of sample.parts) {
    const z = normed(await apply(projected), N, d);
    parts.push(z);
    await up.add({ features: z, pixels: embeddings });
  }
  const set = (name: string, values: ArrayLike<number>) => store.view("values", `visual_tokenizer.${name}`).set(values);
  set("encoder.weight", encoder.weight);
  set("encoder.bias", encoder.bias);
  setUpProjectors(await up.weights(), config, set);
  const z = joinFloats(parts as Float32Array<ArrayBuffer>[]);
  for (let i = 0; i < N; i++) {
    const samples = new Float32Array((z.length / (N * used)) * used);
    for (let row = 0; row < z.length / (N * used); row++) {
      samples.set(z.subarray(row * N * used + i * used, row * N * used + (i + 1) * used), row * used);
    }
    const clusters = bookSize(config);
    const centres = await kMeans(samples, used, {
      clusters,
      random: counterRandom(seed, "k-means").fork(i),
      iterations: 12,
      ...(session && { session }),
    });
    setBook(centres, i, config, set);
  }
  log(
    `${N} codebooks of ${bookSize(config)} start at k-means centres of ${z.length / (N * used)} positions, ${used} numbers each`,
  );
}

/** Copies the parameters that the checkpoint has in the store's shapes; returns how many. */
export async function takeOver(
  checkpoint: Awaited<ReturnType<typeof openCheckpointAt>>,
  store: ParameterStore,
): Promise<number> {
  let taken = 0;
  for (const { path, shape } of store.parameters.values()) {
    const found = checkpoint.find(path);
    if (!found || found.shape.join() !== shape.join()) continue;
    store.set("values", path, await checkpoint.read(path));
    taken++;
  }
  return taken;
}

interface Components {
  /** [N*used, L]: component = row · (features - mean), codebook by codebook. */
  readonly rows: Float64Array;
  /** The root mean square length of each codebook's components. */
  readonly lengths: readonly number[];
}

/** What the features predict of the targets, divided among the codebooks; rotated for rounding if the context asks for rounds. */
async function divide(
  sample: Sample,
  { model, seed, log, session, rounds = 0 }: QuantizerContext,
): Promise<Components> {
  const config = model.config.tokenizer_config;
  const { n_q_tokens: N, llm_hidden_size: L } = config;
  const used = codeWidth(config) - CARRIERS;
  const count = N * used;
  const found = predictiveComponents(sample.covariance, sample.weights, L, sample.outputs, count);
  const order = balanceGroups(found.variances, N).flat();
  const rows = new Float64Array(count * L);
  order.forEach((k, at) => {
    rows.set(found.rows.subarray(k * L, (k + 1) * L), at * L);
  });
  const variances = order.map((k) => found.variances[k]!);
  const lengths = (of: ArrayLike<number>) =>
    Array.from({ length: N }, (_, book) => {
      let sum = 0;
      for (let j = 0; j < used; j++) sum += of[book * used + j]!;
      return Math.sqrt(sum);
    });
  if (rounds === 0 || N === 1) return { rows, lengths: lengths(variances) };
  const apply = await applyLinear(transposed(Float32Array.from(rows), offsets(rows, sample.mean), count), L, count);
  const vectors: Float32Array<ArrayBuffer>[] = [];
  for (let n = 0; n < ROTATION_ROWS && vectors.length < sample.parts.length; n += vectors.at(-1)!.length / count)
    vectors.push(await apply(sample.parts[vectors.length]!.projected));
  log(`rotating ${count} components in ${rounds} rounds`);
  const { matrix, lost } = await productRotation(joinFloats(vectors), count, {
    parts: N,
    clusters: bookSize(config),
    rounds,
    random: counterRandom(seed, "rotation"),
    session,
  });
  const share = (value: number) => `${(100 * value).toFixed(1)} %`;
  log(
    `rotated in ${rounds} rounds: rounding loses ${share(lost[1])} of the components' variance instead of ${share(lost[0])}`,
  );
  const turned = new Float64Array(count * L);
  const spread = new Float64Array(count);
  for (let to = 0; to < count; to++) {
    for (let from = 0; from < count; from++) {
      const weight = matrix[from * count + to]!;
      spread[to]! += weight ** 2 * variances[from]!;
      for (let i = 0; i < L; i++) turned[to * L + i]! += weight * rows[from * L + i]!;
    }
  }
  return { rows: turned, lengths: lengths(spread) };
}

/** Positions that a rotation is fitted on. */
const ROTATION_ROWS = 18_000;

/** What makes the mean of each component 0. rows [count, L] -> [count] */
function offsets(rows: Float64Array, mean: Float64Array): Float32Array {
  return Float32Array.from({ length: rows.length / mean.length }, (_, k) => {
    let sum = 0;
    for (let i = 0; i < mean.length; i++) sum -= rows[k * mean.length + i]! * mean[i]!;
    return sum;
  });
}

/** `encoder`: each codebook's components at unit length, then the carriers of the constant. weight [N*d, L], bias [N*d]. */
function fitEncoder(
  { rows, lengths }: Components,
  mean: Float64Array,
  config: TokenizerConfig,
): { weight: Float32Array; bias: Float32Array } {
  const { n_q_tokens: N, llm_hidden_size: L } = config;
  const d = codeWidth(config);
  const used = d - CARRIERS;
  const shifts = offsets(rows, mean);
  const weight = new Float32Array(N * d * L);
  const bias = new Float32Array(N * d);
  for (let book = 0; book < N; book++) {
    const last = book * d + d - 1;
    for (let j = 0; j < used; j++) {
      const [row, k] = [book * d + j, book * used + j];
      for (let i = 0; i < L; i++) {
        const value = rows[k * L + i]! / lengths[book]!;
        weight[row * L + i] = value;
        weight[last * L + i]! -= value; // the sum of all is zero, so that the norm subtracts no mean
      }
      bias[row] = shifts[k]! / lengths[book]!;
      bias[last]! -= bias[row]!;
    }
    bias[last - 1] = CONSTANT;
    bias[last]! -= CONSTANT;
  }
  return { weight, bias };
}

/** [out, in] and [out] -> [in + 1, out] */
function transposed(weight: Float32Array, bias: Float32Array, out: number): Float32Array<ArrayBuffer> {
  const width = weight.length / out;
  const map = new Float32Array((width + 1) * out);
  for (let o = 0; o < out; o++) {
    for (let i = 0; i < width; i++) map[i * out + o] = weight[o * width + i]!;
    map[width * out + o] = bias[o]!;
  }
  return map;
}

/** The norm's gain restores each number to a root mean square near 1. */
function gain(used: number, d: number): number {
  return Math.sqrt(used * ((2 * CONSTANT ** 2 + 1) / d));
}

/** ze [n, N*d] -> the non-constant numbers after each codebook's norm and gain [n, N*(d - CARRIERS)]. */
function normed(ze: Float32Array, N: number, d: number): Float32Array<ArrayBuffer> {
  const used = d - CARRIERS;
  const z = new Float32Array((ze.length / d) * used);
  for (let at = 0, to = 0; at < ze.length; at += d, to += used) {
    let [sum, squares] = [0, 0];
    for (let j = 0; j < d; j++) {
      sum += ze[at + j]!;
      squares += ze[at + j]! ** 2;
    }
    const mean = sum / d;
    const scale = gain(used, d) / Math.sqrt(squares / d - mean * mean + 1e-5);
    for (let j = 0; j < used; j++) z[to + j] = (ze[at + j]! - mean) * scale;
  }
  if (!Number.isInteger(ze.length / (N * d))) throw new Error(`${ze.length} numbers are no rows of ${N} books`);
  return z;
}

type SetParameter = (name: string, values: ArrayLike<number>) => void;

/** weights [N*used + 1, D], the last row the embeddings' mean. Embeddings are means over the codebooks, hence the factor N. */
function setUpProjectors(weights: Float32Array, config: TokenizerConfig, set: SetParameter): void {
  const { n_q_tokens: N, output_dim: D } = config;
  const d = codeWidth(config);
  const used = d - CARRIERS;
  for (let i = 0; i < N; i++) {
    const matrix = new Float32Array(D * d);
    for (let o = 0; o < D; o++) {
      for (let j = 0; j < used; j++) matrix[o * d + j] = N * weights[(i * used + j) * D + o]!;
      matrix[o * d + used] = weights[N * used * D + o]!;
    }
    set(`up_projectors.${i}.weight`, matrix);
  }
}

/** centres [S, used] of codebook i, after norm and gain. Table rows are chosen so that the codebook's own norm leaves them unchanged. */
function setBook(centres: Float32Array, i: number, config: TokenizerConfig, set: SetParameter): void {
  const d = codeWidth(config);
  const used = d - CARRIERS;
  const size = bookSize(config);
  const gains = Float32Array.from({ length: d }, (_, j) => (j < used ? gain(used, d) : 0));
  const shifts = Float32Array.from({ length: d }, (_, j) => (j === used ? 1 : 0));
  for (const norm of ["z_norm", "q_norm"]) {
    set(`quantizer.${i}.${norm}.weight`, gains);
    set(`quantizer.${i}.${norm}.bias`, shifts);
  }
  const identity = Float32Array.from({ length: d * d }, (_, at) => (at % (d + 1) === 0 ? 1 : 0));
  set(`quantizer.${i}.embedding_proj.weight`, identity);
  set(`quantizer.${i}.embedding_proj.bias`, new Float32Array(d));
  const table = new Float32Array(config.codebook_size * d);
  for (let k = 0; k < size; k++) {
    const row = table.subarray((i * size + k) * d, (i * size + k + 1) * d);
    let [sum, squares] = [0, 0];
    for (let j = 0; j < used; j++) {
      row[j] = centres[k * used + j]! / gains[j]!;
      sum += row[j]!;
      squares += row[j]! ** 2;
    }
    // The carriers a > b have a + b = -sum and a² + b² = d - squares: mean 0, variance 1.
    const half = -sum / 2;
    const spread = Math.sqrt(Math.max(0, (d - squares) / 2 - half ** 2));
    row[used] = half + spread;
    row[used + 1] = half - spread;
  }
  set(`quantizer.${i}.embedding.weight`, table);
}
