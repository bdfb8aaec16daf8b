// Opens a checkpoint by its path on disk: a folder, or one safetensors file.

import { stat } from "node:fs/promises";
import { basename } from "node:path";
import {
  type Checkpoint,
  isPickle,
  type OpenCheckpointOptions,
  openCheckpoint,
  openShards,
  refusePickle,
} from "../checkpoint/checkpoint.ts";
import { folderFiles, openFileAt, statPlainFile } from "../files/folder.node.ts";

/** Like openCheckpoint, for a folder or a file. */
export async function openCheckpointAt(path: string, options?: OpenCheckpointOptions): Promise<Checkpoint> {
  const info = await stat(path).catch(() => undefined);
  if (info?.isDirectory()) return openCheckpoint(folderFiles(path), options);
  const find = async () => {
    await statPlainFile(path); // throws and says what it is
    if (isPickle(path)) throw refusePickle(path, basename(path));
    return { open: [() => openFileAt(path)] };
  };
  return openShards(path, find, options);
}
