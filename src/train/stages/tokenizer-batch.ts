// Batches of images and conversations for training the image tokenizer.

import { blockVocabulary } from "../../llm/config.ts";
import { f32, type HostTensor, i32 } from "../../runtime/host-tensor.ts";
import type { Sample } from "../data/corpus.ts";
import { patchesOf } from "../data/patch-images.ts";
import { type EncodedRow, type RowWriter, turnsAbout } from "../data/rows.ts";
import type { Samples } from "../data/samples.ts";
import { packedFeeds } from "../row-tables.ts";
import { fillRows, segmentEnds } from "../segments.ts";
import type { Batch } from "../stage.ts";
import { classificationFeeds } from "./auxiliary-heads.ts";
import { type AnswerSizes, type Data, hasText, type Model } from "./tokenizer-graph.ts";

export interface BatchContext {
  readonly samples: Samples;
  readonly writer: RowWriter;
  readonly model: Model;
  readonly data: Data;
}

/** A batch of images, without the targets from frozen models. */
export function batchOf(items: readonly Sample[], context: BatchContext, step: number): Batch {
  const { samples, model, data } = context;
  const vision = model.config.tokenizer_config.vision_config;
  const pixels = patchesOf(
    items.map(({ image }) => image),
    vision.patch_size,
  );
  const grid = vision.image_size / vision.patch_size / 2;
  return {
    loss: "conversation",
    tokens: data.batch * (hasText(model) ? data.length : grid ** 2),
    feeds: {
      pixels,
      ...classificationFeeds(items, samples.corpus.concepts, grid),
      ...(hasText(model) && conversationFeeds(items, context, step)),
    },
  };
}

function conversationFeeds(
  items: readonly Sample[],
  { writer, model, data }: BatchContext,
  step: number,
): Record<string, HostTensor> {
  const rows = items.map((item, b) => writer.understanding(turnsAbout(item, (step + b) % 2 === 0), data.length));
  return answerFeeds(rows, writer.padId, model, data);
}

/**
 * The feeds of traceAnswers for a batch of conversations, whose images are in order. Answer tokens beyond `answers` are dropped, and
 * conversations that find no room in packed rows.
 */
export function answerFeeds(
  conversations: readonly EncodedRow[],
  padId: number,
  model: Pick<Model, "config">,
  { batch, length: T, packedRows, answers: R }: AnswerSizes,
): Record<string, HostTensor> {
  const { qwen_config: qwen } = model.config;
  const vocabulary = blockVocabulary(qwen);
  const B = packedRows ?? batch;
  const ids = new Int32Array(B * T).fill(padId);
  const [rows, labels] = [[] as number[], [] as number[]];
  const lengths = conversations.map((row) => row.ids.length);
  const filled = packedRows === undefined ? conversations.map((_, i) => [i]) : fillRows(lengths, B, T);
  const firstImageRows = imageRowsOf(conversations, vocabulary.imagePad, vocabulary.vocabSize);
  filled.forEach((held, b) => {
    let at = b * T;
    for (const i of held) {
      let imageRow = firstImageRows[i]!;
      const { ids: own, isAnswer } = conversations[i]!;
      own.forEach((id, t) => {
        ids[at + t] = id === vocabulary.imagePad ? imageRow++ : id;
        if (t > 0 && isAnswer[t] && rows.length < R) {
          rows.push(at + t - 1);
          labels.push(id);
        }
      });
      at += own.length;
    }
  });
  const fill = (values: readonly number[]) => Int32Array.from({ length: R }, (_, i) => values[i] ?? 0);
  const weights = Float32Array.from({ length: R }, (_, i) => (i < rows.length ? 1 / rows.length : 0));
  return {
    ids: i32(ids, [B, T]),
    rows: i32(fill(rows), [R]),
    labels: i32(fill(labels), [R]),
    weights: f32(weights, [R]),
    ...(packedRows !== undefined &&
      packedFeeds(
        filled.map((held) =>
          segmentEnds(
            held.map((i) => lengths[i]!),
            T,
          ),
        ),
        T,
        qwen,
      )),
  };
}

/** For each conversation, where the embeddings of its image start in the table that `ids` point into. */
function imageRowsOf(conversations: readonly EncodedRow[], imagePad: number, first: number): number[] {
  let next = first;
  return conversations.map(({ ids }) => {
    const start = next;
    next += ids.filter((id) => id === imagePad).length;
    return start;
  });
}
