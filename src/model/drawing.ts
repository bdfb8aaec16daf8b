// Which networks draw an image, and with the settings they were trained with: from the language model's hidden states or from
// codes alone, in the published recipe or in that of `kelix train`.

import { type AutoencoderConfig, type DitConfig, pixelsPerLatent } from "../detokenizer/config.ts";
import { withNullLength } from "../detokenizer/denoiser.ts";
import type { DetokenizerSettings, Solver } from "../detokenizer/detokenizer.ts";
import { InputError, type KelixError, ModelError } from "../errors.ts";
import type { ConditionPositions } from "../options.ts";
import { hasUpProjectors } from "./declare.ts";
import type { ModelPart, OpenedModel } from "./open.ts";
import { type Source, sourceNames } from "./parts.ts";

export interface DetokenizerChoice {
  readonly source: Source;
  readonly transformer: ModelPart<DitConfig>;
  readonly autoencoder: ModelPart<AutoencoderConfig>;
  readonly solver: Solver;
  /** For an image of these rows and columns of codes. */
  readonly settingsFor: (codeGrid: Grid) => DetokenizerSettings & { readonly latentGrid: Grid };
}

type Grid = readonly [rows: number, columns: number];

/** Whether a model has all that draws from `source`. */
export function canDraw(model: OpenedModel, source: Source): boolean {
  return !(findDetokenizer(model, source) instanceof Error);
}

/** What draws images. Throws, saying how to add it, when the model has no network for it. */
export function chooseDetokenizer(
  model: OpenedModel,
  source: Source,
  positions?: ConditionPositions,
): DetokenizerChoice {
  const found = findDetokenizer(model, source, positions);
  if (found instanceof Error) throw found;
  return found;
}

/** What draws images, or why the model cannot. */
export function findDetokenizer(
  model: OpenedModel,
  source: Source,
  positions: ConditionPositions = "training",
): DetokenizerChoice | KelixError {
  const { autoencoder } = model.detokenizer;
  const transformer = model.detokenizer[source];
  if (!transformer)
    return lacks(model, `diffusion transformer that draws from ${sourceNames[source]}`, released[source]);
  if (!autoencoder) return lacks(model, "autoencoder, which turns latents into pixels", released.autoencoder);
  if (source === "codes" && !hasUpProjectors(model.weights)) return lacksUpProjectors(model, "draw from codes alone");
  const parts = { source, transformer, autoencoder };
  if (model.generation.positions === "raster") {
    if (positions === "demo") {
      return new InputError(
        `${model.path} was trained with each code at its own place, which no demo guesses: leave out \`positions\` (--positions)`,
        { code: "invalid_option" },
      );
    }
    const { preprocessor } = model;
    const scale = (preprocessor.patch_size * preprocessor.merge_size) / pixelsPerLatent(autoencoder.config);
    const { patchSize } = transformer.config;
    const side = (codes: number) => patchSize * Math.max(1, Math.round((codes * scale) / patchSize));
    const settingsFor = ([rows, columns]: Grid) =>
      ({ positions: "raster", latentGrid: [side(rows), side(columns)] }) as const;
    return { ...parts, settingsFor, solver: "euler" };
  }
  const { inputSize, modelMaxLength } = withNullLength(transformer.config, transformer.weights);
  const latentGrid = [inputSize, inputSize] as const;
  // Its script for codes alone lets diffusers make the sigmas.
  if (source === "codes")
    return { ...parts, settingsFor: () => ({ positions: "reference-codes", latentGrid }), solver: "euler-default" };
  const most = mostPositions(transformer);
  const { grid } = model.generation.imagine;
  if (grid[0] * grid[1] > most) {
    return new ModelError(
      `${transformer.folder}: is conditioned on at most ${most} positions, and images have ${grid.join(" x ")}: ` +
        "give `imagine.grid` of generation_config.json fewer",
    );
  }
  // The null condition is padded like the condition, so the padding shows where guidance weighs the two.
  const scheme = positions === "demo" ? ("demo" as const) : ("reference" as const);
  const settings = { positions: scheme, maxConditionLength: modelMaxLength, latentGrid };
  return { ...parts, settingsFor: () => settings, solver: "euler" };
}

/** Positions whose hidden states a transformer can be conditioned on, beside those of vision_start and vision_end. */
function mostPositions({ config, weights }: ModelPart<DitConfig>): number {
  // Without weights nothing is known: the released config says fewer than its file holds.
  if (weights.files.length === 0) return Number.POSITIVE_INFINITY;
  return withNullLength(config, weights).modelMaxLength - 2;
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

function lacks(folder: OpenedModel, what: string, [place, flag, option]: (typeof released)[Source]): ModelError {
  return new ModelError(
    `${folder.path} has no ${what}. ${place}: put it into a sub-folder, or name its folder with ${flag} FOLDER ` +
      `(\`${option}\` of Kelix.load)`,
    { code: "missing_part" },
  );
}

/** Throws where a model's codes cannot be turned into embeddings for `purpose`. */
export function needUpProjectors(model: OpenedModel, purpose: string): void {
  if (!hasUpProjectors(model.weights)) throw lacksUpProjectors(model, purpose);
}

function lacksUpProjectors({ path }: OpenedModel, purpose: string): ModelError {
  const message = `${path} has no visual_tokenizer.up_projectors, which turn codes into embeddings: it cannot ${purpose}`;
  return new ModelError(message, { code: "missing_part" });
}
