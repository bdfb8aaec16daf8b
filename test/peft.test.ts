// A low-rank adapter that PEFT has made, against what PEFT computes with it (test/peft/make.py).

import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { folderFiles } from "../src/files/folder.node.ts";
import { readAdapter, withAdapter } from "../src/model/adapter.ts";
import { linear } from "../src/nn/linear.ts";
import { readSafetensors } from "../src/quantize/safetensors-file.ts";
import type { HostTensor } from "../src/runtime/host-tensor.ts";
import { openSession } from "../src/runtime/session.ts";
import { Graph } from "../src/tensor/graph.ts";
import type { Tensor } from "../src/tensor/tensor.ts";
import { gradients } from "../src/train/autodiff/gradients.ts";
import { openCheckpointAt } from "../src/train/open-checkpoint.ts";
import { openTrainingSession } from "../src/train/training-session.ts";

const folder = "test/peft";

/** The network of make.py. */
function network(graph: Graph): Tensor {
  let x = graph.input("x", [5, 24]);
  for (let l = 0; l < 2; l++) {
    const layer = graph.params.at("layers", l);
    x = x.add(linear(layer.at("down_proj"), linear(layer.at("q_proj"), x, 40, false).silu(), 24));
  }
  return x;
}

test("gives PEFT's outputs and PEFT's gradients of both factors", async () => {
  const adapter = await readAdapter(folderFiles(`${folder}/adapter`));
  expect([...adapter.ranks.keys()]).toEqual(["layers.0.q_proj", "layers.1.down_proj", "layers.1.q_proj"]);
  expect(adapter.ranks.get("layers.0.q_proj")).toEqual({ rank: 4, scale: 3 });
  const base = await openCheckpointAt(`${folder}/weights.safetensors`);
  const golden = await readSafetensors(`${folder}/outputs.safetensors`);
  const source = withAdapter(base, adapter);

  const inference = new Graph();
  inference.adaptLinear = source.adaptLinear;
  inference.output("y", network(inference));
  const session = await openSession(inference, source, { threads: 1 });
  const { y } = await session.run({ x: golden.get("x")! });
  await session.release();
  expect(difference(y!, golden.get("y")!)).toBeLessThan(1e-5);

  const training = new Graph();
  training.adaptLinear = source.adaptLinear;
  const loss = network(training)
    .mul(training.input("weights", [5, 24]))
    .sum([0, 1]);
  const names = [...adapter.tensors.keys()];
  const slopes = gradients(
    loss,
    names.map((name) => training.parameters.get(name)!.tensor),
  );
  names.forEach((name, i) => {
    training.output(`grad.${name}`, slopes[i]!);
  });
  const part = { isTrained: (path: string) => adapter.tensors.has(path), frozen: base };
  const step = await openTrainingSession(training, { threads: 1 }, part);
  const feeds = { x: golden.get("x")!, weights: golden.get("weights")! };
  const found = await step.run({ ...feeds, ...Object.fromEntries(adapter.tensors) });
  await step.release();
  await base.close();
  for (const name of names) {
    const wanted = golden.get(`grad.base_model.model.${name}`)!;
    expect(difference(found[`grad.${name}`]!, wanted), name).toBeLessThan(1e-5);
  }
});

test("has its scale from the config: W + 3 B A is what PEFT merges", async () => {
  const adapter = await readAdapter(folderFiles(`${folder}/adapter`));
  const golden = await readSafetensors(`${folder}/outputs.safetensors`);
  const base = await readSafetensors(`${folder}/weights.safetensors`);
  const path = "layers.1.down_proj";
  const { scale, rank } = adapter.ranks.get(path)!;
  const [a, b] = (["A", "B"] as const).map((side) => adapter.tensors.get(`${path}.lora_${side}.weight`)!.data);
  const merged = base.get(`${path}.weight`)!;
  const [, width] = merged.shape as [number, number];
  const sum = Float32Array.from(merged.data as Float32Array, (value, i) => {
    let delta = 0;
    for (let r = 0; r < rank; r++)
      delta += Number(b![Math.floor(i / width) * rank + r]) * Number(a![r * width + (i % width)]);
    return value + scale * delta;
  });
  expect(difference({ ...merged, data: sum }, golden.get("merged")!)).toBeLessThan(1e-6);
  const config = JSON.parse(await readFile(`${folder}/adapter/adapter_config.json`, "utf8"));
  expect(config.peft_type).toBe("LORA");
});

/** Largest difference as a share of the largest value. */
function difference(found: HostTensor, wanted: HostTensor): number {
  expect(found.shape).toEqual(wanted.shape);
  const [a, b] = [found.data as Float32Array, wanted.data as Float32Array];
  let [most, largest] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    most = Math.max(most, Math.abs(a[i]! - b[i]!));
    largest = Math.max(largest, Math.abs(b[i]!));
  }
  return most / largest;
}
