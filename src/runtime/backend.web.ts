// ONNX Runtime in the browser: WASM, or WebGPU where it is asked for.

import { InputError } from "../errors.ts";
import type { Backend, Device, OrtSession, OrtTensor } from "./backend.ts";

export type { Backend, OrtSession, OrtTensor } from "./backend.ts";

/** The backend for a device; "cpu" is WASM here. Throws for devices that a browser does not have. */
export async function loadBackend(device: Device): Promise<Backend> {
  if (device === "cuda")
    throw new InputError("The device cuda is not available in a browser; present are wasm, webgpu", {
      code: "device_unavailable",
    });
  const ort = await (device === "webgpu" ? import("onnxruntime-web/webgpu") : import("onnxruntime-web"));
  return {
    readsFiles: false,
    isBlocking: device !== "webgpu",
    async create(model, { threads, runMemory }) {
      if (threads !== undefined) ort.env.wasm.numThreads = threads;
      const session = await ort.InferenceSession.create(model, {
        executionProviders: [device === "webgpu" ? "webgpu" : "wasm"],
        enableMemPattern: runMemory === "planned",
        enableCpuMemArena: runMemory !== "returned",
      });
      return session as unknown as OrtSession;
    },
    tensor: (type, data, shape) => new ort.Tensor(type as "float32", data as Float32Array, shape) as OrtTensor,
  };
}
