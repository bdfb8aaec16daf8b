// Runs in a process of its own, whose environment names a Vulkan driver: kelix-nano on the WebGPU of onnxruntime-node.
//   node ... native-webgpu.ts run          prints what a job gives
//   node ... native-webgpu.ts place MODEL  opens every network on WebGPU, and has ONNX Runtime say on standard error where its nodes are

import * as ort from "onnxruntime-node";
import { Kelix } from "../../src/index.ts";
import { runJob } from "./page/job.js";

const [mode, model = "kelix-nano"] = process.argv.slice(2);
const image = "data/heldout/demo/octopus.png";

if (mode === "run") {
  const options = { device: "webgpu" };
  const job = { model, image, question: "What is this?", prompt: "a red circle", steps: 1, options };
  const answer = await runJob(Kelix, job).catch(({ code, message }) => ({ code, message }));
  console.log(JSON.stringify(answer));
} else {
  const { InferenceSession } = ort;
  const create = InferenceSession.create.bind(InferenceSession) as (
    model: Uint8Array,
    options: ort.InferenceSession.SessionOptions,
  ) => Promise<ort.InferenceSession>;
  // Each network is opened as Kelix asks for it, only to see where its nodes go; what follows is computed on the processor.
  const opened: typeof create = async (model, options) => {
    await (await create(model, { ...options, logSeverityLevel: 0 })).release();
    return create(model, { ...options, executionProviders: ["cpu"] });
  };
  InferenceSession.create = opened as typeof InferenceSession.create;
  await runJob(Kelix, {
    model,
    image,
    question: "What is this?",
    prompt: "a red circle",
    steps: 1,
    options: { device: "webgpu" },
  });
}
