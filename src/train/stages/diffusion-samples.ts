// Samples of the diffusion transformer during training: held-out images, from their codes and from hidden states.

import { type DitConfig, parseAutoencoderConfig } from "../../detokenizer/config.ts";
import { Detokenizer } from "../../detokenizer/detokenizer.ts";
import type { WeightSource } from "../../runtime/session.ts";
import { SessionCache } from "../../runtime/session-cache.ts";
import { writeContactSheet } from "../contact-sheet.ts";
import { pixelError } from "../metrics.ts";
import { openCheckpointAt } from "../open-checkpoint.ts";
import type { DiffusionModel, PoolItem } from "./diffusion-pool.ts";

export interface Drawer {
  readonly transformer: WeightSource;
  readonly config: DitConfig;
  readonly autoencoder: DiffusionModel["autoencoder"];
  readonly grid: readonly [number, number];
}

/** Sampler steps for samples during training. */
const SHOWN_STEPS = { codes: 4, hidden: 12 } as const;

/** Draws held-out images beside their reconstructions from codes and from hidden states; returns both PSNRs. */
export async function showDrawings(
  items: readonly PoolItem[],
  { transformer, config, autoencoder, grid }: Drawer,
  path: string,
): Promise<Record<string, number>> {
  const decoder = await openCheckpointAt(autoencoder.weights);
  const sessions = new SessionCache(Number.POSITIVE_INFINITY);
  const detokenizer = new Detokenizer(
    {
      transformer: { config, weights: transformer },
      autoencoder: { config: parseAutoencoderConfig(autoencoder.config), weights: decoder },
    },
    { positions: "raster", latentGrid: grid },
    sessions,
  );
  const draw = (kind: keyof typeof SHOWN_STEPS) =>
    mapInOrder(items, (item, seed) =>
      detokenizer.detokenize(
        { condition: item[kind], isConnected: kind === "codes", codeGrid: grid },
        { seed, steps: SHOWN_STEPS[kind] },
      ),
    );
  const drawn = { codes: await draw("codes"), hidden: await draw("hidden") };
  await sessions.close();
  await decoder.close();
  const originals = items.map(({ image }) => image);
  await writeContactSheet(
    path,
    originals.flatMap((image, i) => [image, drawn.codes[i]!, drawn.hidden[i]!]),
    6,
  );
  return {
    psnrFromCodes: pixelError(originals, drawn.codes).psnr,
    psnrFromHidden: pixelError(originals, drawn.hidden).psnr,
  };
}

async function mapInOrder<T, R>(items: readonly T[], visit: (item: T, index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const [index, item] of items.entries()) results.push(await visit(item, index));
  return results;
}
