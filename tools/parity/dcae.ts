// Parity of the DC-AE: encoder, decoder and their stages, for the folders `dcae` and `dcae_shuffle`.
// Outputs are recognised by name: `encoded*` of an input image, `decoded` of its latents, `decoded_latent` of the input latent.

import { decode, encode } from "../../src/detokenizer/autoencoder.ts";
import { type AutoencoderConfig, parseAutoencoderConfig } from "../../src/detokenizer/config.ts";
import { f32, type HostTensor } from "../../src/runtime/host-tensor.ts";
import { Graph } from "../../src/tensor/graph.ts";
import { type GoldenFolder, type ParityCase, skipUnknown } from "./case.ts";
import { compute } from "./compute.ts";

export const dcaeCase: ParityCase = {
  matches: (config) => "encoder_block_types" in config && "latent_channels" in config,

  async run(folder) {
    const config = parseAutoencoderConfig(folder.config, undefined, skipUnknown);
    const results = new Map<string, HostTensor>();
    const image = folder.inputs.get("image");
    if (image) {
      const encoded = await encodeStages(folder, config, image);
      for (const [name, tensor] of encoded) results.set(name, tensor);
      const latents = encoded.get("encoded")!;
      results.set("scaled_latent", scale(latents, config.scalingFactor));
      for (const [name, tensor] of await decodeStages(folder, config, latents)) results.set(name, tensor);
    }
    const small = folder.inputs.get("image_small");
    if (small) {
      const encoded = await encodeStages(folder, config, small);
      results.set("encoded_small_quadratic_attn", encoded.get("encoded")!);
    }
    const latent = folder.inputs.get("latent");
    if (latent) results.set("decoded_latent", (await decodeStages(folder, config, latent)).get("decoded")!);
    return new Map([...results].filter(([name]) => folder.outputsPresent.has(name)));
  },

  tolerance: () => ({ relative: 2e-5 }),
};

/** `encoded` and, after each stage, `enc_block{i}`. */
async function encodeStages(folder: GoldenFolder, config: AutoencoderConfig, pixels: HostTensor) {
  const graph = new Graph();
  graph.output("encoded", encode(graph.params, graph.input("pixels", pixels.shape), config));
  addStages(folder, graph, (stage) => `enc_block${stage}`);
  return compute(graph, folder.weights, { pixels });
}

/** `decoded` and, after each stage in the order in which they run, `dec_block{i}_in_order_run`. */
async function decodeStages(folder: GoldenFolder, config: AutoencoderConfig, latents: HostTensor) {
  const graph = new Graph();
  graph.output("decoded", decode(graph.params, graph.input("latents", latents.shape), config));
  addStages(folder, graph, (stage) => `dec_block${stage}_in_order_run`);
  return compute(graph, folder.weights, { latents });
}

/** What each stage returns, in the order in which they run. */
function addStages(folder: GoldenFolder, graph: Graph, nameOf: (stage: number) => string): void {
  for (const [stage, activation] of [...graph.activations.values()].entries())
    if (folder.outputsPresent.has(nameOf(stage))) graph.output(nameOf(stage), activation);
}

function scale(tensor: HostTensor, factor: number): HostTensor {
  return f32(
    (tensor.data as Float32Array).map((value) => value * factor),
    tensor.shape,
  );
}
