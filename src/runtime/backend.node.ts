// ONNX Runtime in Node: the native library, or its WASM build where the native package is not installed.

import type { Backend, OrtSession, OrtTensor } from "./backend.ts";
import type { Device } from "./session.ts";

export type { Backend, OrtSession, OrtTensor } from "./backend.ts";

type Ort = typeof import("onnxruntime-node");

/** ONNX Runtime's log level "error": its warnings are about graph optimisations that do not matter here. */
const LOG_ERRORS = 3;

let native: Promise<Ort | undefined> | undefined;
let hasWarned = false;

function loadNative(): Promise<Ort | undefined> {
  native ??= import("onnxruntime-node").then(
    (module) => ((module as { default?: Ort }).default ?? module) as Ort,
    () => undefined,
  );
  return native;
}

/** The backend for a device; throws, naming the devices present, when it is not there. */
export async function loadBackend(device: Device): Promise<Backend> {
  const ort = device === "wasm" ? undefined : await loadNative();
  if (ort) {
    const present = ort.listSupportedBackends().map((backend) => backend.name);
    if (!present.includes(device))
      throw new Error(`The device ${device} is not available here; present are ${[...present, "wasm"].join(", ")}`);
    const backend = wrapOrt(ort, true, [device]);
    if (device === "cpu") return backend;
    // A device may be built in and yet lack its hardware or libraries, which shows with the first session.
    const refuse = (cause: unknown) => {
      const why = cause instanceof Error ? cause.message.replace(/\s+/g, " ").slice(-200) : String(cause);
      throw new Error(`The device ${device} does not work here (${why}); present are cpu, wasm`, { cause });
    };
    return { ...backend, create: (model, options) => backend.create(model, options).catch(refuse) };
  }
  if (device !== "wasm") {
    if (device !== "cpu")
      throw new Error(`The device ${device} needs onnxruntime-node, which is not installed; present is wasm`);
    if (!hasWarned) {
      hasWarned = true;
      console.error(
        "kelix: running on WASM, 3 to 4 times slower; for the native library: ONNXRUNTIME_NODE_INSTALL=skip npm i onnxruntime-node",
      );
    }
  }
  const web = (await import("onnxruntime-web")) as unknown as Ort & { default?: Ort };
  return wrapOrt(web.default ?? web, false, ["wasm"]);
}

function wrapOrt(ort: Ort, isNative: boolean, executionProviders: string[]): Backend {
  return {
    readsFiles: isNative,
    isBlocking: !isNative,
    async create(model, { folder, threads, profile, foldsConstants, runMemory }) {
      const session = await ort.InferenceSession.create(model, {
        executionProviders,
        logSeverityLevel: LOG_ERRORS,
        ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile }),
        ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
        enableMemPattern: runMemory === "planned",
        enableCpuMemArena: runMemory !== "returned",
        extra: {
          ...(foldsConstants ? {} : { optimization: { disable_specified_optimizers: "ConstantFolding" } }),
          session: {
            // Sessions take turns: a pool that goes on spinning after its run would take a core from the next one.
            force_spinning_stop: "1",
            ...(folder === undefined ? {} : { model_external_initializers_file_folder_path: folder }),
          },
        },
      });
      return session as unknown as OrtSession;
    },
    tensor: (type, data, shape) => new ort.Tensor(type as "float32", data as Float32Array, shape) as OrtTensor,
  };
}
