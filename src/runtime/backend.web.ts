// ONNX Runtime in the browser: WASM, or WebGPU where it is asked for.

import {
  type Backend,
  type Device,
  explain,
  LOG_FATAL,
  type OrtSession,
  type OrtTensor,
  unavailable,
  type WasmSettings,
} from "./backend.ts";
import { Turns } from "./turns.ts";

export type { Backend, OrtSession, OrtTensor } from "./backend.ts";
export { placeSession } from "./placement.web.ts";

type Ort = typeof import("onnxruntime-web");

/** Several threads start within a second, or, where a bundler has moved the glue that they start from, never. */
const START_MS = 15_000;
/** More gain nothing at the sizes that fit into a browser. */
const MAX_THREADS = 4;

let settings: WasmSettings = {};
/** Of WebAssembly's build and of WebGPU's, which are two. */
const starting = new Map<boolean, Promise<void>>();
/** WebGPU's build does one thing at a time: whoever calls meanwhile gets an error. */
const turns = new Turns();

/** To be called before the first session: ONNX Runtime reads these once for the page. It starts meanwhile; what fails is told later. */
export function prepareBackend({ device, threads, wasmPaths }: WasmSettings & { device?: Device | undefined }): void {
  settings = { threads, wasmPaths };
  if (device !== "webgpu") void loadBackend("wasm").catch(() => undefined);
}

/** The backend for a device; "cpu" is WASM here. Throws for devices that a browser does not have. */
export async function loadBackend(device: Device): Promise<Backend> {
  if (device === "cuda") throw unavailable("The device cuda is not available in a browser; available: wasm, webgpu");
  const isWebGpu = device === "webgpu";
  const ort = await (isWebGpu ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm"));
  const started = starting.get(isWebGpu) ?? start(ort, isWebGpu);
  starting.set(isWebGpu, started);
  await started;
  const inTurn = <T>(work: () => Promise<T>) => (isWebGpu ? turns.take(work) : work());
  return {
    device: isWebGpu ? device : "wasm",
    readsFiles: false,
    isBlocking: !isWebGpu,
    async create(model, { runMemory, foldsConstants }) {
      const create = () =>
        ort.InferenceSession.create(model, {
          executionProviders: [isWebGpu ? "webgpu" : "wasm"],
          logSeverityLevel: LOG_FATAL,
          enableMemPattern: runMemory === "planned",
          enableCpuMemArena: runMemory !== "returned",
          extra: foldsConstants ? {} : { optimization: { disable_specified_optimizers: "ConstantFolding" } },
        });
      const session = (await inTurn(create).catch(explain)) as unknown as OrtSession;
      return {
        run: (feeds, fetches) => inTurn(() => session.run(feeds, fetches)).catch(explain),
        release: () => inTurn(() => session.release()),
        endProfiling: () => session.endProfiling(),
      };
    },
    tensor: (type, data, shape) => new ort.Tensor(type as "float32", data as Float32Array, shape) as OrtTensor,
  };
}

/** How many threads compute. They need a page that is cross-origin isolated, and glue that is a file of its own: bundled, they never start. */
export function threadCount({ threads, wasmPaths }: WasmSettings): number {
  if (!globalThis.crossOriginIsolated) return 1;
  return threads ?? (wasmPaths === undefined ? 1 : Math.min(MAX_THREADS, navigator.hardwareConcurrency));
}

async function start({ env, InferenceSession }: Ort, isWebGpu: boolean): Promise<void> {
  if (isWebGpu && !(await globalThis.navigator?.gpu?.requestAdapter()))
    throw unavailable(
      "The device webgpu is not available here: this browser has no WebGPU adapter, or the page is not secure (https or localhost); available: wasm",
    );
  // WebGPU's build has files of its own names, which a folder may hold as well.
  const wasmPaths = isWebGpu && typeof settings.wasmPaths === "object" ? settings.wasmPaths.webgpu : settings.wasmPaths;
  const threads = isWebGpu ? 1 : threadCount(settings);
  env.logLevel = "fatal";
  env.wasm.numThreads = threads;
  if (wasmPaths !== undefined) env.wasm.wasmPaths = wasmPaths as typeof env.wasm.wasmPaths;
  if (threads > 1) {
    env.wasm.initTimeout = START_MS;
    const file = typeof wasmPaths === "object" ? wasmPaths.wasm : undefined;
    // First, so that a slow network does not count as threads that do not start.
    if (file !== undefined) env.wasm.wasmBinary = await (await fetch(file)).arrayBuffer();
  }
  // A hack: no call starts the engine alone. This one does, and then finds that no bytes are no model.
  const options = { executionProviders: [isWebGpu ? "webgpu" : "wasm"], logSeverityLevel: LOG_FATAL } as const;
  await InferenceSession.create(new Uint8Array(), options).catch((cause) => explainStart(cause, isWebGpu));
}

/** Throws where it was the engine that did not start. */
function explainStart(cause: unknown, isWebGpu: boolean): void {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (/timeout/i.test(message)) {
    throw unavailable(
      `WebAssembly with threads did not start within ${START_MS / 1000} s: give \`wasmPaths: { mjs, wasm }\` of Kelix.load the URLs ` +
        "of ONNX Runtime's two files as they are, not bundled, or set `threads: 1`",
      cause,
    );
  }
  if (/no available backend|initWasm|fetch|import/i.test(message)) {
    const file = `ort-wasm-simd-threaded.${isWebGpu ? "asyncify." : ""}wasm`;
    const option = isWebGpu ? "its folder's URL as `wasmPaths`" : "its URL as `wasmPaths: { wasm }`";
    throw unavailable(
      `ONNX Runtime's WebAssembly files could not be loaded: put ${file} of onnxruntime-web beside the bundle, or give ${option} of Kelix.load`,
      cause,
    );
  }
}
