// For tests: writes a model folder of kelix-nano's layout with random weights, a few hundred thousand parameters in all.
// Every architecture choice is kelix-nano's; only the widths and depths are smaller.

import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAutoencoderConfig, parseDitConfig } from "../src/detokenizer/config.ts";
import { parseKeyeArConfig } from "../src/llm/config.ts";
import { declareAutoencoder, declareAutoregressive, declareTransformer } from "../src/model/declare.ts";
import { writeSafetensors } from "../src/quantize/safetensors-file.ts";
import { f32ToBf16 } from "../src/quantize/to-bfloat16.ts";
import { type CounterRandom, counterRandom } from "../src/random/counter.ts";
import { hostTensor } from "../src/runtime/host-tensor.ts";
import type { Parameter } from "../src/tensor/graph.ts";

const nano = "models/kelix-nano";
const WIDTH = 32;

export interface TinyConfigs {
  readonly main: Record<string, Record<string, unknown>>;
  readonly dit: Record<string, unknown>;
  readonly vae: Record<string, unknown>;
  readonly preprocessor: Record<string, unknown>;
  readonly generation: Record<string, unknown>;
}

/** Writes the folder and returns it. `change` may give another config than the usual one. */
export async function writeTinyModel(
  folder: string,
  seed = 1,
  change = (configs: TinyConfigs) => configs,
): Promise<string> {
  const { main, dit, vae, preprocessor, generation } = change(await tinyConfigs());
  await writePart(folder, "model.safetensors", main, declareAutoregressive(parseKeyeArConfig(main)), seed);
  await writePart(join(folder, "dit"), "model.safetensors", dit, declareTransformer(parseDitConfig(dit)), seed);
  await writePart(
    join(folder, "vae"),
    "diffusion_pytorch_model.safetensors",
    vae,
    declareAutoencoder({ config: parseAutoencoderConfig(vae) }),
    seed,
  );
  for (const file of ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]) {
    await copyFile(join(nano, file), join(folder, file));
  }
  await writeFile(join(folder, "preprocessor_config.json"), JSON.stringify(preprocessor));
  await writeFile(join(folder, "generation_config.json"), JSON.stringify(generation));
  return folder;
}

async function tinyConfigs(): Promise<TinyConfigs> {
  const { config, autoencoder, languageModel } = JSON.parse(
    await readFile("configs/nano/diffusion.json", "utf8"),
  ).model;
  const ar = languageModel.config;
  return {
    main: {
      ...ar,
      qwen_config: {
        ...ar.qwen_config,
        embed_dim: WIDTH,
        num_layers: 2,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 8,
        intermediate_dim: 64,
        codebook_size: 128,
        max_seq_len: 256,
      },
      tokenizer_config: {
        ...ar.tokenizer_config,
        codebook_size: 128,
        embedding_dim: 8,
        init_embedding_dim: 8,
        llm_hidden_size: WIDTH,
        output_dim: WIDTH,
        vision_config: {
          ...ar.tokenizer_config.vision_config,
          hidden_size: 16,
          num_hidden_layers: 1,
          num_attention_heads: 2,
          intermediate_size: 32,
        },
      },
      token_decoder_config: {
        ...ar.token_decoder_config,
        d_model: 16,
        nhead: 2,
        num_layers: 1,
        dim_feedforward: 32,
        input_dim: WIDTH,
      },
    },
    dit: {
      ...config,
      in_channels: 8,
      hidden_size: WIDTH,
      depth: 1,
      num_heads: 4,
      linear_head_dim: 8,
      caption_channels: WIDTH,
      connector_channels: WIDTH,
    },
    vae: {
      ...autoencoder.config,
      latent_channels: 8,
      attention_head_dim: 8,
      encoder_block_out_channels: [8, 8, 8, 16, 16],
      decoder_block_out_channels: [8, 8, 8, 16, 16],
    },
    preprocessor: JSON.parse(await readFile(join(nano, "preprocessor_config.json"), "utf8")),
    generation: {
      positions: "raster",
      reconstruct: { steps: 2, guidance: 1 },
      imagine: { steps: 2, guidance: 1.5, temperature: 1, top_k: 0, top_p: 1, grid: [6, 6] },
    },
  };
}

async function writePart(
  folder: string,
  file: string,
  config: object,
  parameters: readonly Parameter[],
  seed: number,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const tensors = parameters.map(
    (parameter) =>
      [
        parameter.path,
        hostTensor("bf16", f32ToBf16(draw(parameter, counterRandom(seed, parameter.path))), parameter.shape),
      ] as const,
  );
  await writeSafetensors(join(folder, file), tensors, { format: "pt" });
}

/** Initial values as training draws them. */
function draw({ init, shape }: Parameter, random: CounterRandom): Float32Array {
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
  if (init.kind === "constant") return values.fill(init.value);
  if (init.kind === "normal") return random.fillNormal(values).map((value) => init.std * value);
  return values.map((_, i) => init.limit * (2 * random.uniform(i) - 1));
}
