// Opens a model to describe or plan it: some or all of its weights may be missing. For a Hub repository that is
// not cached, only the configs are downloaded, and the sizes of the other files come from its listing.

import { dirname, join } from "node:path";
import { parseHubName } from "../files/hub-name.ts";
import { findFault, findSnapshot, sizeOf } from "../hub/cache.ts";
import type { FetchOptions } from "../hub/fetch-files.ts";
import { pull } from "../hub/pull.ts";
import { readHubSettings } from "../hub/settings.ts";
import { compareModel } from "../model/declare.ts";
import { askHub, findLocalModel, openModelAt, resolveModel } from "../model/find.node.ts";
import type { OpenedModel, PartFolders } from "../model/open.ts";

/** The files that describe a repository. */
const CONFIG_FILES = ["*config.json", "*.safetensors.index.json"];

export interface UnloadedModel {
  readonly model: OpenedModel;
  /** Bytes of weights still to be downloaded, by folder. */
  readonly missingBytes: ReadonlyMap<string, number>;
  /** Missing or mismatched parts, in sentences. Empty for a model that can be loaded. */
  readonly faults: readonly string[];
}

/** Opens the available parts of a model. Throws if not even its configs are available. */
export async function openUnloaded(name: string, folders: PartFolders & FetchOptions = {}): Promise<UnloadedModel> {
  const { signal, onProgress, onWait } = folders;
  const missingBytes = new Map<string, number>();
  const place = async (part: string): Promise<string> => {
    const { path, missing } = await locate(part, { signal, onProgress, onWait });
    for (const file of missing) {
      const folder = dirname(join(path, file.path));
      missingBytes.set(folder, (missingBytes.get(folder) ?? 0) + file.sizeBytes);
    }
    return path;
  };
  const path = await place(name);
  const detokenizer = folders.detokenizer && (await Promise.all([folders.detokenizer].flat().map(place)));
  const autoencoder = folders.autoencoder && (await place(folders.autoencoder));
  const faults: string[] = [];
  const model = await openModelAt(path, {
    ...(detokenizer && { detokenizer }),
    ...(autoencoder && { autoencoder }),
    onFault: (fault) => faults.push(fault),
  });
  return { model, missingBytes, faults: [...faults, ...compareModel(model)] };
}

interface Located {
  readonly path: string;
  readonly missing: readonly { readonly path: string; readonly sizeBytes: number }[];
}

async function locate(name: string, options: FetchOptions): Promise<Located> {
  const local = await findLocalModel(name);
  if (local !== undefined) return { path: local, missing: [] };
  const hubName = parseHubName(name);
  if (!hubName) return { path: await resolveModel(name), missing: [] }; // throws and names the choices
  const settings = await readHubSettings();
  const cached = await findSnapshot(settings.cacheFolder, hubName);
  if (cached && (settings.isOffline || (await findFault(cached)) === undefined)) return { path: cached, missing: [] };
  const pullConfigs = () => pull(name, { ...options, settings, include: CONFIG_FILES });
  const { path, leftOut } = await askHub(name, pullConfigs);
  const weights = leftOut.filter((file) => file.path.endsWith(".safetensors"));
  const isHere = await Promise.all(
    weights.map(async (file) => (await sizeOf(join(path, file.path))) === file.sizeBytes),
  );
  return { path, missing: weights.filter((_, i) => !isHere[i]) };
}
