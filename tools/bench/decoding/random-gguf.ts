// A Qwen3 model of random 4-bit weights as llama.cpp reads it, of the same shape as the checkpoint beside it.

import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder } from "../../../src/hub/make-folder.ts";
import { byteLength, type GgufTensor, type GgufValue, writeGguf } from "./gguf.ts";
import { fillRandomBytes } from "./random-bytes.ts";
import type { DecodingShape } from "./shapes.ts";

const CONTEXT = 4096;
const BLOCK_BYTES = 18;
/** The f16 number 2^-8, about what keeps activations of these widths in bounds. */
const SCALE_F16 = 0x1c00;

/** Writes the file unless it is there. */
export async function writeRandomGguf(path: string, shape: DecodingShape): Promise<void> {
  if (await stat(path).catch(() => undefined)) return;
  await makeFolder(dirname(path));
  await writeGguf(path, metadata(shape), tensors(shape));
}

function metadata(shape: DecodingShape): Record<string, GgufValue> {
  const tokens = dummyTokens(shape.vocabulary);
  return {
    "general.architecture": "qwen3",
    "general.file_type": 2, // mostly Q4_0
    "qwen3.block_count": shape.layers,
    "qwen3.context_length": CONTEXT,
    "qwen3.embedding_length": shape.width,
    "qwen3.feed_forward_length": shape.feedForward,
    "qwen3.attention.head_count": shape.heads,
    "qwen3.attention.head_count_kv": shape.kvHeads,
    "qwen3.attention.key_length": shape.headWidth,
    "qwen3.attention.value_length": shape.headWidth,
    "qwen3.attention.layer_norm_rms_epsilon": { float: 1e-6 },
    "qwen3.rope.freq_base": { float: 1e6 },
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "qwen2",
    "tokenizer.ggml.tokens": { texts: tokens },
    "tokenizer.ggml.token_type": { integers: tokens.map(() => 1) },
    "tokenizer.ggml.merges": { texts: ["t 0"] },
    "tokenizer.ggml.eos_token_id": shape.vocabulary - 1,
  };
}

/** The vocabulary must have as many entries as the matrices rows; what they spell does not matter. */
function dummyTokens(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `t${i}`);
}

function tensors(shape: DecodingShape): GgufTensor[] {
  const { vocabulary: V, width: D, heads, kvHeads, headWidth: E, feedForward: F } = shape;
  let seed = 0;
  const matrix = (name: string, out: number, width: number): GgufTensor => {
    const own = seed++;
    const tensor = { name, type: "q4_0", shape: [width, out] } as const;
    return { ...tensor, bytes: () => randomBlocks(byteLength(tensor), own) };
  };
  const norm = (name: string, width: number): GgufTensor => {
    const bytes = () => new Uint8Array(new Float32Array(width).fill(1).buffer);
    return { name, type: "f32", shape: [width], bytes };
  };
  const layer = (l: number) => [
    norm(`blk.${l}.attn_norm.weight`, D),
    matrix(`blk.${l}.attn_q.weight`, heads * E, D),
    matrix(`blk.${l}.attn_k.weight`, kvHeads * E, D),
    matrix(`blk.${l}.attn_v.weight`, kvHeads * E, D),
    norm(`blk.${l}.attn_q_norm.weight`, E),
    norm(`blk.${l}.attn_k_norm.weight`, E),
    matrix(`blk.${l}.attn_output.weight`, D, heads * E),
    norm(`blk.${l}.ffn_norm.weight`, D),
    matrix(`blk.${l}.ffn_gate.weight`, F, D),
    matrix(`blk.${l}.ffn_up.weight`, F, D),
    matrix(`blk.${l}.ffn_down.weight`, D, F),
  ];
  return [
    matrix("token_embd.weight", V, D),
    ...Array.from({ length: shape.layers }, (_, l) => layer(l)).flat(),
    norm("output_norm.weight", D),
    matrix("output.weight", V, D),
  ];
}

function randomBlocks(length: number, seed: number): Uint8Array {
  const bytes = fillRandomBytes(new Uint8Array(length), seed);
  for (let at = 0; at < length; at += BLOCK_BYTES) {
    bytes[at] = SCALE_F16 & 255;
    bytes[at + 1] = SCALE_F16 >> 8;
  }
  return bytes;
}
