// For tests: a strict loader of the reference's checkpoints, written from its description and from nothing in src/. It wants every tensor that the
// reference's classes have, by name and shape, and no other; fields of a config by name; shards as its writer leaves them.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

type Shape = readonly number[];
type Json = Readonly<Record<string, never>>;

/** Every tensor of KeyeARModel with this config.json. */
export function referenceTensors(config: Json): Map<string, Shape> {
  const { qwen_config: q, tokenizer_config: t, token_decoder_config: h } = config as Record<string, Json>;
  const v = (t as Record<string, Json>).vision_config as Record<string, number>;
  const tensors = new Map<string, Shape>();
  const add = (name: string, ...shape: number[]) => tensors.set(name, shape);
  const linear = (name: string, out: number, inner: number) => {
    add(`${name}.weight`, out, inner);
    add(`${name}.bias`, out);
  };
  const layerNorm = (name: string, width: number) => {
    add(`${name}.weight`, width);
    add(`${name}.bias`, width);
  };

  const { embed_dim: D, num_heads: H, num_kv_heads: K, head_dim: E, intermediate_dim: F } = q as Record<string, number>;
  const rows = (q as Record<string, number>).vocab_size! + (q as Record<string, number>).codebook_size!;
  const attention = { q: [H! * E!, D!], k: [K! * E!, D!], v: [K! * E!, D!] } as const;
  add("model.model.tok_embeddings.embed_tokens.weight", rows, D!);
  for (let l = 0; l < (q as Record<string, number>).num_layers!; l++) {
    const layer = `model.model.layers.${l}`;
    for (const [name, [out, inner]] of Object.entries(attention)) add(`${layer}.attn.${name}_proj.weight`, out, inner);
    add(`${layer}.attn.output_proj.weight`, D!, H! * E!);
    add(`${layer}.attn.q_norm.scale`, E!);
    add(`${layer}.attn.k_norm.scale`, E!);
    add(`${layer}.mlp.w1.weight`, F!, D!);
    add(`${layer}.mlp.w2.weight`, D!, F!);
    add(`${layer}.mlp.w3.weight`, F!, D!);
    add(`${layer}.mlp_norm.scale`, D!);
    add(`${layer}.sa_norm.scale`, D!);
  }
  add("model.model.norm.scale", D!);
  add("model.model.output.weight", rows, D!);
  add("lm_head.weight", rows, D!);

  const { d_model: d, dim_feedforward: f, num_layers, max_pos_length } = h as unknown as Record<string, number>;
  linear("model.model.token_head.input_linear", d!, D!);
  linear("model.model.token_head.output_linear", D!, d!);
  layerNorm("model.model.token_head.final_norm", d!);
  add("model.model.token_head.position_embedding.weight", max_pos_length!, d!);
  for (let l = 0; l < num_layers!; l++) {
    const layer = `model.model.token_head.transformer.layers.${l}`;
    for (const name of ["q_proj", "k_proj", "v_proj", "output_proj"]) linear(`${layer}.attn.${name}`, d!, d!);
    add(`${layer}.mlp.w1.weight`, f!, d!);
    add(`${layer}.mlp.w2.weight`, d!, f!);
    add(`${layer}.mlp.w3.weight`, f!, d!);
    layerNorm(`${layer}.mlp_norm`, d!);
    layerNorm(`${layer}.sa_norm`, d!);
  }

  const { hidden_size: W, intermediate_size: G, patch_size: p, image_size, num_channels } = v;
  const visual = "visual_tokenizer.visual";
  add(`${visual}.embeddings.patch_embedding.weight`, W!, num_channels!, p!, p!);
  add(`${visual}.embeddings.patch_embedding.bias`, W!);
  add(`${visual}.embeddings.position_embedding.weight`, Math.floor(image_size! / p!) ** 2, W!);
  add(`${visual}.embeddings.packing_position_embedding.weight`, 32_768, W!);
  for (let l = 0; l < v.num_hidden_layers!; l++) {
    const layer = `${visual}.encoder.layers.${l}`;
    for (const name of ["q_proj", "k_proj", "v_proj", "output_proj"]) linear(`${layer}.attn.${name}`, W!, W!);
    linear(`${layer}.mlp.w1`, G!, W!);
    linear(`${layer}.mlp.w2`, W!, G!);
    layerNorm(`${layer}.mlp_norm`, W!);
    layerNorm(`${layer}.sa_norm`, W!);
  }
  layerNorm(`${visual}.ln_post`, W!);

  const {
    llm_hidden_size,
    embedding_dim: c,
    init_embedding_dim,
    codebook_size,
    n_q_tokens: N,
    output_dim,
  } = t as Record<string, number>;
  layerNorm("visual_tokenizer.mlp_AR.pre_norm", 4 * W!);
  linear("visual_tokenizer.mlp_AR.linear_1", 4 * W!, 4 * W!);
  linear("visual_tokenizer.mlp_AR.linear_2", llm_hidden_size!, 4 * W!);
  linear("visual_tokenizer.encoder", N! * c!, llm_hidden_size!);
  for (let i = 0; i < N!; i++) {
    const book = `visual_tokenizer.quantizer.${i}`;
    add(`${book}.embedding.weight`, codebook_size!, init_embedding_dim!);
    linear(`${book}.embedding_proj`, c!, init_embedding_dim!);
    layerNorm(`${book}.q_norm`, c!);
    layerNorm(`${book}.z_norm`, c!);
    add(`visual_tokenizer.up_projectors.${i}.weight`, output_dim!, c!);
  }
  return tensors;
}

/** What a strict loader would say of a folder: names, shapes, the order of shards, the index, and fields of the config. */
export async function referenceFaults(folder: string, known: Json): Promise<string[]> {
  const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
  const names = (await readdir(folder)).filter((name) => name.endsWith(".safetensors")).sort();
  const found = new Map<string, { readonly shape: Shape; readonly file: string }>();
  const faults = unknownFields(config, known);
  for (const name of names)
    for (const [tensor, shape] of await header(join(folder, name))) {
      if (found.has(tensor)) faults.push(`${tensor} stands in ${name} and ${found.get(tensor)!.file}`);
      found.set(tensor, { shape, file: name });
    }
  const wanted = referenceTensors(config);
  for (const [name, shape] of wanted)
    if (`${found.get(name)?.shape}` !== `${shape}`)
      faults.push(`${name} is [${found.get(name)?.shape}], wanted [${shape}]`);
  for (const name of found.keys()) if (!wanted.has(name)) faults.push(`${name} belongs nowhere`);
  if (names.length > 1) {
    const index = JSON.parse(await readFile(join(folder, "model.safetensors.index.json"), "utf8")).weight_map;
    for (const [name, { file }] of found)
      if (index[name] !== file) faults.push(`the index says ${index[name]} of ${name}`);
    const inOrder = [...found.keys()];
    if (`${inOrder}` !== `${[...inOrder].sort()}`) faults.push("tensors are not sorted over the shards");
  }
  return faults;
}

function unknownFields(config: object, known: object, at = ""): string[] {
  return Object.entries(config).flatMap(([key, value]) => {
    const wanted = (known as Record<string, unknown>)[key];
    if (!(key in known)) return [`the reference's config has no field ${at}${key}`];
    return typeof value === "object" && value && !Array.isArray(value)
      ? unknownFields(value, wanted as object, `${at}${key}.`)
      : [];
  });
}

/** Names and shapes, sorted. */
async function header(path: string): Promise<[string, Shape][]> {
  const bytes = await readFile(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const { __metadata__, ...tensors } = JSON.parse(bytes.subarray(8, 8 + length).toString());
  return Object.entries(tensors as Record<string, { shape: Shape }>)
    .map(([name, { shape }]): [string, Shape] => [name, shape])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
