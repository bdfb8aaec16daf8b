// Which networks draw an image, and with the settings they were trained with: from the language model's hidden states or from
// codes alone, in the published recipe or in that of `kelix train`.

import { type AutoencoderConfig, type DitConfig, pixelsPerLatent } from "../detokenizer/config.ts";
import { withNullLength } from "../detokenizer/denoiser.ts";
import type { DetokenizerSettings, Solver } from "../detokenizer/detokenizer.ts";
import { InputError, ModelError } from "../errors.ts";
import type { ConditionPositions } from "../options.ts";
import { hasUpProjectors } from "./declare.ts";
import type { ModelFolder, ModelPart } from "./open.ts";
import { type Source, sourceNames } from "./parts.ts";

export interface DetokenizerChoice {
  readonly transformer: ModelPart<DitConfig>;
  readonly autoencoder: ModelPart<AutoencoderConfig>;
  readonly settings: DetokenizerSettings & { readonly latentGrid: readonly [number, number] };
  readonly solver: Solver;
}

/** Whether a model has all that draws from `source`. */
export function canDraw(folder: ModelFolder, source: Source): boolean {
  const { detokenizer, weights, generation } = folder;
  const transformer = detokenizer[source];
  if (!transformer || !detokenizer.autoencoder) return false;
  return source === "hidden"
    ? mostPositions(folder, transformer) >= countOf(generation.imagine.grid)
    : hasUpProjectors(weights);
}

/** Positions whose hidden states a transformer can be conditioned on, beside those of vision_start and vision_end. */
function mostPositions({ generation }: ModelFolder, { config, weights }: ModelPart<DitConfig>): number {
  // Without weights nothing is known: the released config says fewer than its file holds.
  const isUnknown = generation.positions === "raster" || weights.files.length === 0;
  if (isUnknown) return Number.POSITIVE_INFINITY;
  return withNullLength(config, weights).modelMaxLength - 2;
}

function countOf([rows, columns]: readonly [number, number]): number {
  return rows * columns;
}

/** What draws an image of these codes. Throws, saying how to add it, when the model has no network for it. */
export function chooseDetokenizer(
  folder: ModelFolder,
  source: Source,
  codeGrid: readonly [number, number],
  positions: ConditionPositions = "training",
): DetokenizerChoice {
  const { autoencoder } = folder.detokenizer;
  const transformer = folder.detokenizer[source];
  if (!transformer)
    throw lacks(folder, `diffusion transformer that draws from ${sourceNames[source]}`, released[source]);
  if (!autoencoder) throw lacks(folder, "autoencoder, which turns latents into pixels", released.autoencoder);
  if (source === "codes" && !hasUpProjectors(folder.weights)) {
    throw new ModelError(
      `${folder.path} has no visual_tokenizer.up_projectors, which turn codes into what is drawn from: it cannot draw from codes alone`,
    );
  }
  if (folder.generation.positions === "raster") {
    if (positions === "demo") {
      throw new InputError(
        `${folder.path} was trained with each code at its own place, which no demo guesses: leave out \`positions\` (--positions)`,
        { code: "invalid_option" },
      );
    }
    const { preprocessor } = folder;
    const scale = (preprocessor.patch_size * preprocessor.merge_size) / pixelsPerLatent(autoencoder.config);
    const [rows, columns] = codeGrid;
    const { patchSize } = transformer.config;
    const side = (codes: number) => patchSize * Math.max(1, Math.round((codes * scale) / patchSize));
    const latentGrid = [side(rows), side(columns)] as const;
    return { transformer, autoencoder, settings: { positions: "raster", latentGrid }, solver: "euler" };
  }
  const { inputSize, modelMaxLength } = withNullLength(transformer.config, transformer.weights);
  const latentGrid = [inputSize, inputSize] as const;
  // The null condition is padded like the condition, so the padding shows where guidance weighs the two.
  if (source === "hidden") {
    const most = mostPositions(folder, transformer);
    if (countOf(codeGrid) > most) {
      throw new ModelError(
        `${transformer.folder}: is conditioned on at most ${most} positions, and images have ${codeGrid.join(" x ")}: ` +
          "give `imagine.grid` of generation_config.json fewer",
      );
    }
    const scheme = positions === "demo" ? ("demo" as const) : ("reference" as const);
    const settings = { positions: scheme, maxConditionLength: modelMaxLength, latentGrid };
    return { transformer, autoencoder, settings, solver: "euler" };
  }
  // Its script for codes alone lets diffusers make the sigmas.
  return { transformer, autoencoder, settings: { positions: "reference-codes", latentGrid }, solver: "euler-default" };
}

/** What each part is in the released models, and how it is named to us. */
const released: Readonly<Record<Source | "autoencoder", readonly [place: string, flag: string, option: string]>> = {
  hidden: ["For the released model it is OpenOneRec/Kelix-DiT", "--dit", "detokenizer"],
  codes: [
    "It is one without a connector, as the reference's AEDIT scripts train; none is known to be published",
    "--dit",
    "detokenizer",
  ],
  autoencoder: [
    "For the released model it is the `vae` folder of Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers",
    "--vae",
    "autoencoder",
  ],
};

function lacks(folder: ModelFolder, what: string, [place, flag, option]: (typeof released)[Source]): ModelError {
  return new ModelError(
    `${folder.path} has no ${what}. ${place}: put it into a sub-folder, or name its folder with ${flag} FOLDER ` +
      `(\`${option}\` of Kelix.load)`,
    { code: "missing_part" },
  );
}
