// Which networks draw a picture, and with the settings they were trained with: from the language model's hidden states or from
// codes alone, in the published recipe or in that of `kelix train`.

import { type AutoencoderConfig, type DitConfig, pixelsPerLatent } from "./detokenizer/config.ts";
import { withNullLength } from "./detokenizer/denoiser.ts";
import type { DetokenizerSettings } from "./detokenizer/detokenizer.ts";
import { ModelError } from "./errors.ts";
import { hasUpProjectors } from "./model-check.ts";
import type { ModelFolder, ModelPart } from "./model-folder.ts";
import { type Source, sourceNames } from "./model-parts.ts";

export interface DetokenizerChoice {
  readonly transformer: ModelPart<DitConfig>;
  readonly autoencoder: ModelPart<AutoencoderConfig>;
  readonly settings: DetokenizerSettings & { readonly latentGrid: readonly [number, number] };
}

/** Whether a model has all that draws from `source`. */
export function canDraw({ detokenizer, weights }: ModelFolder, source: Source): boolean {
  const hasNetworks = detokenizer[source] !== undefined && detokenizer.autoencoder !== undefined;
  return hasNetworks && (source === "hidden" || hasUpProjectors(weights));
}

/** What draws a picture of these codes. Throws, saying how to add it, when the model has no network for it. */
export function chooseDetokenizer(
  folder: ModelFolder,
  source: Source,
  codeGrid: readonly [number, number],
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
    const { preprocessor } = folder;
    const scale = (preprocessor.patch_size * preprocessor.merge_size) / pixelsPerLatent(autoencoder.config);
    const [rows, columns] = codeGrid;
    const { patchSize } = transformer.config;
    const side = (codes: number) => patchSize * Math.max(1, Math.round((codes * scale) / patchSize));
    const latentGrid = [side(rows), side(columns)] as const;
    return { transformer, autoencoder, settings: { positions: "raster", latentGrid } };
  }
  const { inputSize, modelMaxLength } = withNullLength(transformer.config, transformer.weights);
  const latentGrid = [inputSize, inputSize] as const;
  // The null condition is padded like the condition, so the padding shows where guidance weighs the two.
  const settings =
    source === "hidden"
      ? { positions: "reference" as const, maxConditionLength: modelMaxLength, latentGrid }
      : { positions: "reference-codes" as const, latentGrid };
  return { transformer, autoencoder, settings };
}

/** Where the released models have each part, and how it is named to us. */
const released: Readonly<Record<Source | "autoencoder", readonly [folder: string, flag: string, option: string]>> = {
  hidden: ["OpenOneRec/Kelix-DiT", "--dit", "detokenizer"],
  codes: ["OpenOneRec/Kelix-AEDIT", "--dit", "detokenizer"],
  autoencoder: ["the `vae` folder of Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers", "--vae", "autoencoder"],
};

function lacks(folder: ModelFolder, what: string, [place, flag, option]: (typeof released)[Source]): ModelError {
  return new ModelError(
    `${folder.path} has no ${what}. For the released model it is ${place}: put it into a sub-folder, ` +
      `or name its folder with ${flag} FOLDER (\`${option}\` of Kelix.load)`,
  );
}
