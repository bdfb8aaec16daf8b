// Several checkpoints as one: a run that trains part of a model saves only that part, so the whole is the checkpoint that it
// started from, overlaid with the part.

import * as z from "zod";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { ModelError, quote } from "../errors.ts";
import { openCheckpointAt } from "./open-checkpoint.ts";
import { pathSchema } from "./settings.ts";

/** A file or folder of weights, or several; later ones override earlier ones. */
export const layersSchema = z.union([pathSchema, z.array(pathSchema).min(1).max(16)]);

export async function openLayers(paths: string | readonly string[]): Promise<Checkpoint> {
  const layers: Checkpoint[] = [];
  const close = async () => {
    for (const layer of layers) await layer.close();
  };
  try {
    for (const path of [paths].flat()) layers.unshift(await openCheckpointAt(path));
  } catch (error) {
    await close();
    throw error;
  }
  const path = layers.map((layer) => layer.path).join(", ");
  const holder = (name: string) => layers.find((layer) => layer.find(name) !== undefined);
  return {
    path,
    files: layers.flatMap(({ files }) => files),
    isOnDisk: layers.every(({ isOnDisk }) => isOnDisk ?? false),
    names: () => [...new Set(layers.flatMap((layer) => layer.names()))],
    find: (name) => holder(name)?.find(name),
    async read(name, rows) {
      const layer = holder(name);
      if (!layer) throw new ModelError(`${path}: has no tensor ${quote(name)}`);
      return layer.read(name, rows);
    },
    close,
  };
}
