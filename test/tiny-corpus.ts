// For tests: writes a corpus as `kelix data` does, of random images, and a config that trains a small autoencoder on it.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeSafetensors } from "../src/quantize/safetensors-file.ts";
import { counterRandom } from "../src/random/counter.ts";
import { hostTensor } from "../src/runtime/host-tensor.ts";
import { imagesFolder } from "../src/train/data/render.ts";

const SIDE = 32;
const CONCEPTS = 40;
const STYLES = ["noto", "twemoji"];

/** Writes the corpus into the cache folder `cache`. */
export async function writeTinyCorpus(cache: string): Promise<void> {
  const folder = imagesFolder(cache, SIDE);
  await mkdir(folder, { recursive: true });
  const random = counterRandom(1, "tiny corpus");
  for (const style of STYLES) {
    const pixels = Uint8Array.from({ length: CONCEPTS * SIDE * SIDE * 4 }, (_, i) =>
      random.fork(style).integer(i, 256),
    );
    await writeSafetensors(join(folder, `${style}.safetensors`), [
      ["images", hostTensor("u8", pixels, [CONCEPTS, SIDE, SIDE, 4])],
    ]);
  }
  const images = STYLES.flatMap((style) =>
    Array.from({ length: CONCEPTS }, (_, row) => {
      const name = `thing ${row}`;
      return { name, caption: `a ${name}`, hexcode: (0x1f600 + row).toString(16).toUpperCase(), style, row };
    }),
  );
  await writeFile(join(folder, "index.json"), JSON.stringify({ side: SIDE, licenses: {}, images }));
}

/** A config of the autoencoder's stage that takes a step in some ten milliseconds. */
export function tinyAutoencoderRun(folder: string, cache: string, extra: object = {}): object {
  const stages = 2;
  const all = <T>(value: T) => new Array<T>(stages).fill(value);
  return {
    stage: "autoencoder",
    description: "tiny",
    folder,
    seed: 11,
    steps: 6,
    learningRate: { base: 1e-3 },
    logEvery: 1,
    checkpointEvery: 2,
    sampleEvery: 1_000_000,
    threads: 1,
    data: { cache, side: SIDE, batch: 2, mix: { emoji: 0.5, scene: 0.5 } },
    model: {
      weights: {},
      config: {
        _class_name: "AutoencoderDC",
        in_channels: 3,
        latent_channels: 4,
        attention_head_dim: 4,
        encoder_block_types: all("ResBlock"),
        decoder_block_types: all("ResBlock"),
        encoder_block_out_channels: all(4),
        decoder_block_out_channels: all(4),
        encoder_layers_per_block: [0, 1],
        decoder_layers_per_block: [0, 1],
        encoder_qkv_multiscales: all([]),
        decoder_qkv_multiscales: all([]),
        upsample_block_type: "pixel_shuffle",
        downsample_block_type: "Conv",
        decoder_norm_types: "rms_norm",
        decoder_act_fns: "silu",
        encoder_out_shortcut: true,
        decoder_in_shortcut: true,
        decoder_conv_act_fn: "relu",
        scaling_factor: 1,
      },
    },
    ...extra,
  };
}
