// ONNX Runtime in Node: the native library, or its WASM build where the native package is not installed.

import { KelixError } from "../errors.ts";
import { encodeModel } from "../onnx/encode.ts";
import {
  type Backend,
  type Device,
  explain,
  LOG_FATAL,
  type OrtSession,
  type OrtTensor,
  type PlaceSession,
  unavailable,
  type WasmSettings,
} from "./backend.ts";
import type { TypedArray } from "./host-tensor.ts";
import { isMainRealm, mainRealm } from "./main-realm.node.ts";
import { castArray } from "./realm.ts";
import { silenceTelemetry } from "./telemetry.node.ts";

export type { Backend, OrtSession, OrtTensor } from "./backend.ts";

type Ort = typeof import("onnxruntime-node");

let native: Promise<Ort | undefined> | undefined;
let hasWarned = false;

function loadNative(): Promise<Ort | undefined> {
  native ??= silenceTelemetry()
    .then(importNative)
    .then(
      (module) => ((module as { default?: Ort }).default ?? module) as Ort,
      (error) => {
        if (error instanceof KelixError) throw error;
        return undefined;
      },
    );
  return native;
}

/** Its results are arrays of the main realm, and so have to be its classes. */
async function importNative(): Promise<Ort> {
  if (isMainRealm) return import("onnxruntime-node");
  const { createRequire } = mainRealm.process.getBuiltinModule("node:module");
  return createRequire(import.meta.url)("onnxruntime-node") as Ort;
}

/** In Node the processor computes, unless another device is asked for. */
export const placeSession: PlaceSession = async (_, openOn, tell) => {
  const session = await openOn("cpu");
  tell(session.device, "the usual one");
  return session;
};

/** WebAssembly has nothing to be told in Node. */
export function prepareBackend(_: WasmSettings): void {}

/** The backend for a device; throws, naming the devices present, when it is not there. */
export async function loadBackend(device: Device): Promise<Backend> {
  const ort = device === "wasm" ? undefined : await loadNative();
  if (ort) {
    const present = ort.listSupportedBackends().map((backend) => backend.name);
    if (!present.includes(device))
      throw unavailable(`The device ${device} is not available here; available: ${[...present, "wasm"].join(", ")}`);
    const backend = wrapOrt(ort, true, device);
    if (device !== "cpu") await proveDevice(backend);
    return backend;
  }
  if (device !== "wasm") {
    if (device !== "cpu")
      throw unavailable(`The device ${device} needs onnxruntime-node, which is not installed; available: wasm`);
    if (!hasWarned) {
      hasWarned = true;
      console.error(
        "kelix: running on WASM, 3 to 4 times slower; for the native library: ONNXRUNTIME_NODE_INSTALL=skip npm i onnxruntime-node",
      );
    }
  }
  const web = (await import("onnxruntime-web")) as unknown as Ort & { default?: Ort };
  return wrapOrt(web.default ?? web, false, "wasm");
}

const needs: Partial<Record<Device, string>> = {
  webgpu: "a GPU with a current driver for Vulkan, Metal or Direct3D 12",
  cuda: "an NVIDIA GPU, its driver, and CUDA's libraries",
};
const proofs = new Map<Device, Promise<void>>();

/** Throws for a device that is built in and yet lacks its hardware or libraries, which shows with the first session. */
function proveDevice(backend: Backend): Promise<void> {
  const { device } = backend;
  const value = { dtype: "f32", shape: [1] } as const;
  const nodes = [{ op: "Neg", domain: "", inputs: ["x"], outputs: ["y"], attributes: {} }];
  const model = { nodes, initializers: [], inputs: [{ name: "x", ...value }], outputs: [{ name: "y", ...value }] };
  const prove = async () => {
    try {
      const options = { foldsConstants: true, prepacks: true, runMemory: "kept" } as const;
      await (await backend.create(encodeModel(model), options)).release();
    } catch (cause) {
      throw unavailable(
        `The device ${device} does not work here: it needs ${needs[device] ?? "hardware and a driver"}; available: cpu, wasm`,
        cause,
      );
    }
  };
  const proof = proofs.get(device) ?? prove();
  proofs.set(device, proof);
  return proof;
}

function wrapOrt(ort: Ort, isNative: boolean, device: Device): Backend {
  ort.env.logLevel = "fatal";
  return {
    device,
    readsFiles: isNative,
    isBlocking: !isNative,
    async create(model, { folder, threads, profile, foldsConstants, prepacks, runMemory }) {
      const opening = ort.InferenceSession.create(isNative ? castArray(model, mainRealm) : model, {
        executionProviders: [device],
        logSeverityLevel: LOG_FATAL,
        ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile }),
        ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
        enableMemPattern: runMemory === "planned",
        enableCpuMemArena: runMemory !== "returned",
        extra: {
          // What is not to be computed beforehand is not to be computed once for all readers either, and kept until the last.
          ...(foldsConstants
            ? {}
            : { optimization: { disable_specified_optimizers: "ConstantFolding;CommonSubexpressionElimination" } }),
          session: {
            // Sessions take turns: a pool that goes on spinning after its run would take a core from the next one.
            force_spinning_stop: "1",
            ...(prepacks ? {} : { disable_prepacking: "1" }),
            ...(folder === undefined ? {} : { model_external_initializers_file_folder_path: folder }),
          },
        },
      });
      const session = (await opening.catch(explain)) as unknown as OrtSession;
      return {
        run: async (feeds, fetches) => {
          const results = await session.run(feeds, fetches).catch(explain);
          return isNative && !isMainRealm ? ownTensors(results) : results;
        },
        release: () => session.release(),
        endProfiling: () => session.endProfiling(),
      };
    },
    tensor: (type, data, shape) => {
      const values = isNative ? castArray(data, mainRealm) : data;
      return new ort.Tensor(type as "float32", values as Float32Array, shape) as OrtTensor;
    },
  };
}

function ownTensors(tensors: Record<string, OrtTensor>): Record<string, OrtTensor> {
  const own = ({ type, dims, data }: OrtTensor) => ({ type, dims, data: castArray(data as TypedArray) });
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, own(tensor)]));
}
