// Finds models by their names: those that the package ships, folders, and repositories of the Hub, which are fetched.

import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { OpenCheckpointOptions } from "../checkpoint/checkpoint.ts";
import { excerpt, FetchError, ModelError, quote } from "../errors.ts";
import { folderFiles } from "../files/folder.node.ts";
import { parseHubName } from "../files/hub-name.ts";
import type { FetchOptions } from "../hub/fetch-files.ts";
import { openHubModel } from "../hub/pull.ts";
import type { PullOptions } from "../options.ts";
import { findPartFiles, type OpenedModel, openModel, type PartFolders } from "./open.ts";

/** Models that the package ships. */
export const builtInModels = ["kelix-nano"] as const;

/** From the sources (src) as from the build (dist) the package's root is one folder up. */
const modelsFolder = fileURLToPath(new URL("../../models/", import.meta.url));

/** The folder of a built-in name, or that a path leads to; undefined when there is none. */
export async function findLocalModel(name: string): Promise<string | undefined> {
  const path = (builtInModels as readonly string[]).includes(name) ? join(modelsFolder, name) : name;
  const info = await stat(path).catch(() => undefined);
  return info?.isDirectory() ? path : undefined;
}

/**
 * The folder that a model's name stands for: a built-in name, a path, or a repository of the Hub (owner/name, owner/name@revision),
 * which is fetched if it is not in the cache. Throws, naming the choices, when there is none.
 */
export async function resolveModel(name: string, options: PullOptions = {}): Promise<string> {
  const local = await findLocalModel(name);
  if (local !== undefined) return local;
  if ((builtInModels as readonly string[]).includes(name)) throw strayed(name);
  const isFile = existsSync(name);
  const hubName = isFile ? undefined : parseHubName(name);
  if (!hubName) {
    const choices = `a model's folder, a repository of the Hub (owner/name), or one of ${builtInModels.join(", ")}`;
    const found = isFile ? "is a file, not a model's folder" : "there is no such model folder";
    throw new ModelError(`${quote(name)}: ${found}. Name ${choices}`, { code: "model_not_found" });
  }
  return askHub(name, () => openHubModel(hubName, options));
}

/** A bundler takes the code along, and not the models, libraries and other files that lie beside it. */
function strayed(name: string): ModelError {
  return new ModelError(
    `${quote(name)} comes with the package, and is not at ${modelsFolder}: if this program is a bundle, keep kelix external ` +
      '(esbuild --external:kelix; webpack, Rollup and Vite external: ["kelix"]; Next.js serverExternalPackages: ["kelix"])',
    { code: "model_not_found" },
  );
}

/** Asks the Hub, and says of what it cannot give that there is no such folder here either. */
export async function askHub<T>(name: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof FetchError)) throw error;
    const { message, canRetry, retryAfterMs, code } = error;
    throw new FetchError(`${excerpt(name)}: there is no such folder here, and from the Hub: ${message}`, {
      cause: error,
      canRetry,
      retryAfterMs,
      code,
    });
  }
}

/** As openModel, of a model and parts that are named as for resolveModel. */
export async function openModelAt(
  name: string,
  options: PartFolders & FetchOptions & OpenCheckpointOptions = {},
): Promise<OpenedModel> {
  const { detokenizer, autoencoder, onFault, ...fetching } = options;
  const path = await resolveModel(name, fetching);
  const find = async (part: string, include?: readonly string[]) =>
    folderFiles(await resolveModel(part, { ...fetching, ...(include && { include }) }));
  const parts = await findPartFiles({ detokenizer, autoencoder } as PartFolders, find);
  return openModel(folderFiles(path), parts, { ...(onFault && { onFault }) });
}
