// A session runs one graph with its weights. Weights stay where they lie: tensors of checkpoint files are handed to ONNX
// Runtime as external data by file, offset and length, and only backends without files (WASM) get their bytes.

import { type Backend, loadBackend, type OrtTensor, placeSession } from "#backend";
import { ModelError } from "../errors.ts";
import { encodeModel, type OnnxInitializer } from "../onnx/encode.ts";
import { lower, type ParameterSource } from "../onnx/lower.ts";
import type { Weight } from "../onnx/weight.ts";
import { formatShape } from "../tensor/dims.ts";
import type { Graph } from "../tensor/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Device, Place } from "./backend.ts";
import { turnEventLoop } from "./event-loop.ts";
import { type HostTensor, hostTensor, type TypedArray } from "./host-tensor.ts";
import { hasShape, isQuantized, scalesName, type TensorLocation, type WeightSource } from "./weight-source.ts";

export type { Device, WeightSource };

export interface SessionOptions {
  /** Threads inside one operation; ONNX Runtime's own choice (the cores) if absent. */
  readonly threads?: number;
  readonly device?: Device;
  /** Writes ONNX Runtime's trace of every node to a JSON file whose name starts so, when the session is released. */
  readonly profile?: string;
  /** Computes only these outputs of the graph; all if absent. */
  readonly outputs?: readonly string[];
  /** Norms after a residual add it themselves; true if absent. Not in training. */
  readonly residualNorms?: boolean;
  /**
   * When weights stored in bf16 or f16 become float32. `load` (if absent): once, when the session is opened, and it holds them all
   * in float32. `run`: each one at each run, just before its use; memory holds one or two in float32, the file the rest.
   */
  readonly widening?: "load" | "run";
  readonly runMemory?: RunMemory;
  /** What the graph is called where its place is told. */
  readonly network?: string;
  /** Told where a network runs when that is settled, and meanwhile where it runs until then. */
  readonly onPlaced?: (network: string, place: Place) => void;
}

/**
 * Where the results of a run lie. `planned` (if none is said): in one piece that is laid out from the second run on, the fastest.
 * `kept`: in memory that is taken as it is needed and kept for the next run, about half of that. `returned`: in memory of exactly
 * their size that goes back to the system as soon as nobody reads them; half of that again for images in the autoencoder, and a
 * fifth slower where runs are short.
 */
export type RunMemory = "planned" | "kept" | "returned";

/** Values to feed, by name. */
export type Values = Readonly<Record<string, HostTensor>>;
/** Where results go, by name. */
export type Targets = Readonly<Record<string, HostTensor | null>>;

export interface Session {
  /**
   * Runs the graph. `fetch` names the outputs wanted (all if absent), or gives tensors to write them into.
   * Throws when an input is missing or has another shape than declared. Where runs hold up the caller's thread (WASM) the event
   * loop turns before each.
   */
  run(feeds: Values, fetch?: readonly string[] | Targets): Promise<Record<string, HostTensor>>;
  release(): Promise<void>;
  readonly device: Device;
}

/** Opens a session whose parameters are fixed values from `weights`. Throws, naming it, when a used parameter is missing or differs in shape. */
export async function openSession(graph: Graph, weights: WeightSource, options: SessionOptions = {}): Promise<Session> {
  const { device: asked, network = "", onPlaced } = options;
  const openOn = (device: Device) =>
    openGraph(graph, (folder) => (path) => weight(graph, weights, path, folder), weights, { ...options, device });
  const tell = (device: Device, reason: string) => onPlaced?.(network, { device, reason });
  if (asked === undefined) return placeSession(graph, openOn, tell);
  const session = await openOn(asked);
  tell(session.device, "asked for");
  return session;
}

/** What training asks for beside the options of every session. */
interface OpenOptions extends SessionOptions {
  readonly widensForEachReader?: boolean;
  /** Whether the engine may keep copies of weights in the order that its products read. */
  readonly prepacks?: boolean;
}

/** Opens a session; `parameters` says where each parameter comes from, given the folder of the weights' files. */
export async function openGraph(
  graph: Graph,
  parameters: (folder: string | undefined) => (path: string) => ParameterSource,
  weights: WeightSource,
  options: OpenOptions,
): Promise<Session> {
  const backend = await loadBackend(options.device ?? "cpu");
  const outputs = selectOutputs(graph, options.outputs);
  const folder = backend.readsFiles ? commonFolder(graph, weights) : undefined;
  const { residualNorms = true, widensForEachReader = false } = options;
  const isWebGpu = backend.device === "webgpu";
  const model = lower(outputs, graph, parameters(folder), { residualNorms, widensForEachReader, isWebGpu });
  const bytes = encodeModel(model);
  const { threads, profile, widening = "load", runMemory = "planned", prepacks = true } = options;
  const foldsConstants = widening === "load";
  if (backend.isBlocking) await turnEventLoop();
  const session = await backend.create(bytes, { folder, threads, profile, foldsConstants, prepacks, runMemory });
  const inputs = new Map(model.inputs.map((input) => [input.name, input]));
  return {
    device: backend.device,
    async run(feeds, fetch) {
      if (backend.isBlocking) await turnEventLoop();
      const given: Record<string, OrtTensor> = {};
      for (const [name, input] of inputs) {
        const value = feeds[name];
        if (!value) throw new Error(`run: the input ${name} ${formatShape(input.shape)} is missing`);
        if (value.dtype !== input.dtype || !fits(value.shape, input.shape)) {
          throw new Error(
            `run: ${name} is ${input.dtype} ${formatShape(input.shape)}, got ${value.dtype} ${formatShape(value.shape)}`,
          );
        }
        given[name] = wrap(backend, value);
      }
      const targets: Targets = isNames(fetch)
        ? Object.fromEntries((fetch ?? [...outputs.keys()]).map((name) => [name, null]))
        : fetch;
      const wrapped = Object.entries(targets).map(([name, value]) => [name, value && wrap(backend, value)] as const);
      const results = await session.run(given, Object.fromEntries(wrapped));
      const fresh = Object.entries(results).filter(([name]) => targets[name] === null);
      return Object.fromEntries(fresh.map(([name, value]) => [name, unwrap(value)]));
    },
    async release() {
      if (options.profile !== undefined) session.endProfiling();
      await session.release();
    },
  };
}

function isNames(fetch: readonly string[] | Targets | undefined): fetch is readonly string[] | undefined {
  return fetch === undefined || Array.isArray(fetch);
}

function selectOutputs(graph: Graph, names: readonly string[] | undefined): Map<string, Tensor> {
  if (!names) return graph.outputs;
  return new Map(
    names.map((name) => {
      const tensor = graph.outputs.get(name);
      if (!tensor) throw new Error(`the graph has no output ${name}; it has ${[...graph.outputs.keys()].join(", ")}`);
      return [name, tensor];
    }),
  );
}

/** The parameter at `path` as a fixed weight. Throws, naming it, when it is missing or differs in shape. */
export function weight(graph: Graph, weights: WeightSource, path: string, folder: string | undefined): Weight {
  const declared = graph.parameters.get(path)!;
  const found = weights.find(path);
  if (!found) throw new ModelError(`the weights have no tensor ${path} ${formatShape(declared.shape)}`);
  if (!hasShape(found, declared.shape)) {
    throw new ModelError(
      `${path} has shape ${formatShape(found.shape)}, the model wants ${formatShape(declared.shape)}`,
    );
  }
  if (!isQuantized(found)) return initializer(path, { ...found, shape: declared.shape }, folder);
  const { shape, bits, block } = found;
  const scales = initializer(scalesName(path), found.scales, folder);
  return { name: path, shape, bits, block, values: initializer(path, found.values, folder), scales };
}

function initializer(name: string, found: TensorLocation, folder: string | undefined): OnnxInitializer {
  const common = { name, dtype: found.dtype as OnnxInitializer["dtype"], shape: found.shape };
  if ("data" in found) return { ...common, bytes: found.data };
  if (folder === undefined)
    throw new Error(`${name}: this device cannot read ${found.file} by itself; load the weights into memory`);
  return {
    ...common,
    location: found.file.slice(folder.length),
    byteOffset: found.byteOffset,
    byteLength: found.byteLength,
  };
}

/** The longest folder (with its slash) that holds every file of the weights: ONNX Runtime takes external data only from below one. */
function commonFolder(graph: Graph, weights: WeightSource): string | undefined {
  let folder: string | undefined;
  for (const path of graph.parameters.keys()) {
    const found = weights.find(path);
    const tensors = found && isQuantized(found) ? [found.values, found.scales] : [found];
    for (const tensor of tensors) {
      if (!tensor || "data" in tensor) continue;
      folder ??= tensor.file.slice(0, tensor.file.lastIndexOf("/") + 1);
      while (!tensor.file.startsWith(folder)) folder = folder.slice(0, folder.lastIndexOf("/", folder.length - 2) + 1);
    }
  }
  return folder;
}

function fits(shape: readonly number[], declared: readonly (number | string)[]): boolean {
  return (
    shape.length === declared.length && shape.every((n, i) => typeof declared[i] === "string" || declared[i] === n)
  );
}

const ortTypes = {
  f32: "float32",
  i32: "int32",
  i64: "int64",
  u8: "uint8",
  i8: "int8",
  u16: "uint16",
  bool: "bool",
  f64: "float64",
} as const;
type PlainDType = keyof typeof ortTypes;

function wrap(backend: Backend, value: HostTensor): OrtTensor {
  const type = ortTypes[value.dtype as PlainDType];
  if (!type) throw new Error(`${value.dtype} tensors cannot be fed to a session`);
  return backend.tensor(type, value.data, value.shape);
}

function unwrap(value: OrtTensor): HostTensor {
  const dtype = (Object.keys(ortTypes) as PlainDType[]).find((key) => ortTypes[key] === value.type);
  if (!dtype) throw new Error(`a session returned a tensor of type ${value.type}`);
  return hostTensor(dtype, value.data as TypedArray, value.dims);
}
