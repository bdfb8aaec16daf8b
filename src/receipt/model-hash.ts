// Identifies a model by its contents. Hashing 16 GB would take longer than drawing the first image, so only a sample is hashed: config and text
// files completely, and of every tensor its name, type, shape and some of its bytes. Different trainings, training steps, precisions and
// merged adapters have different hashes. A model with a few deliberately changed numbers may have the same hash.

import { type ModelFiles, readWhole } from "../files/model-files.ts";
import { sha256 } from "../files/sha256.ts";
import type { OpenedModel } from "../model/open.ts";

/** The name of the method; another way of sampling needs another name. */
const KIND = "sampled-sha256";
/** Sampled from the beginning, the middle and the end of each tensor. */
const SAMPLE_BYTES = 1024;
/** Files besides the weights that affect drawing. Larger ones could not have been loaded. */
const textFiles = [
  "config.json",
  "generation_config.json",
  "preprocessor_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "chat_template.json",
] as const;
const MAX_TEXT_BYTES = 200_000_000;

/** The hash of a model with its parts and adapter. Undefined on a page without `crypto.subtle`. */
export async function hashModel({ files, weights, detokenizer, adapter }: OpenedModel): Promise<string | undefined> {
  const { hidden, codes, autoencoder } = detokenizer;
  const parts = [
    { part: "model", files, weights },
    ...(hidden ? [{ part: "hidden", ...hidden }] : []),
    ...(codes && codes !== hidden ? [{ part: "codes", ...codes }] : []),
    ...(autoencoder ? [{ part: "autoencoder", ...autoencoder }] : []),
  ];
  const lines: string[] = [];
  const samples: Uint8Array[] = [];
  for (const { part, files, weights } of parts) {
    for (const file of textFiles) {
      const found = files && (await textHash(files, file));
      if (found !== undefined) lines.push(`${part} ${file} ${found}`);
    }
    for await (const { name, dtype, shape, bytes } of weights.sample?.(SAMPLE_BYTES) ?? []) {
      lines.push(`${part} ${name} ${dtype} ${shape.join("x")}`);
      samples.push(bytes);
    }
  }
  for (const [name, { dtype, shape, data }] of adapter?.tensors ?? []) {
    const { scale } = adapter!.ranks.get(name.replace(/\.lora_[AB]\.weight$/, ""))!;
    lines.push(`adapter ${name} ${dtype} ${shape.join("x")} ${scale}`);
    samples.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hashOf([new TextEncoder().encode(`${lines.join("\n")}\n`), ...samples], KIND);
}

/** A hash with its method: "sha256:5f..". */
export async function hashOf(parts: readonly Uint8Array[], kind = "sha256"): Promise<string | undefined> {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  const hash = await sha256(joined);
  return hash === undefined ? undefined : `${kind}:${hash}`;
}

async function textHash(files: ModelFiles, path: string): Promise<string | undefined> {
  const bytes = await readWhole(files, path, MAX_TEXT_BYTES);
  return bytes && sha256(new Uint8Array(bytes));
}
