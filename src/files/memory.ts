// Files in memory, or of which a browser holds the bytes: Blobs, Files that a user picked, buffers.

import { InputError, ModelError, quote } from "../errors.ts";
import { bytesOf, kindOf } from "../runtime/realm.ts";
import { baseName, type FolderEntry, type ModelFile, type ModelFiles } from "./model-files.ts";

/** Files by their paths. */
export function memoryFiles(name: string, files: ReadonlyMap<string, Blob>): ModelFiles {
  const nameOf = (path: string) => `${name}/${path}`;
  return {
    name,
    nameOf,
    async list() {
      const entries = new Map<string, FolderEntry>();
      for (const path of files.keys()) {
        const [first, ...rest] = path.split("/");
        entries.set(first!, { name: first!, isFolder: rest.length > 0 });
      }
      return [...entries.values()];
    },
    async open(path) {
      const blob = files.get(path);
      return blob && memoryFile(blob, nameOf(path));
    },
    folder: (inner) => {
      const own = [...files].filter(([path]) => path.startsWith(`${inner}/`));
      return memoryFiles(nameOf(inner), new Map(own.map(([path, blob]) => [path.slice(inner.length + 1), blob])));
    },
  };
}

/** A Blob as an open file. Only what is read of it comes into memory. */
export function memoryFile(blob: Blob, name: string): ModelFile {
  return {
    name,
    sizeBytes: blob.size,
    async read(into, position) {
      const piece = await blob
        .slice(position, position + into.length)
        .arrayBuffer()
        .catch((cause) => {
          throw new ModelError(`${name}: cannot be read. Has it changed since it was picked?`, { cause });
        });
      into.set(new Uint8Array(piece));
      return piece.byteLength;
    },
    async close() {},
  };
}

/** A model's file as a caller gives it: a File, or its path in the model's folder with its bytes. */
export type GivenFile = File | { readonly path: string; readonly data: ArrayBufferView | ArrayBufferLike | Blob };

/**
 * The files of a list. Files that a folder's picker gave (`webkitRelativePath`) are named from inside the folder. Throws an
 * InputError for what is no file.
 */
export function givenFiles(list: Iterable<GivenFile>): ModelFiles {
  const named = [...list].map(readGiven);
  const root = named.find(
    ([path]) => baseName(path) === "config.json" && named.every(([other]) => within(path, other)),
  );
  const skipped = root ? root[0].length - "config.json".length : 0;
  return memoryFiles("the given files", new Map(named.map(([path, blob]) => [path.slice(skipped), blob])));
}

/** Whether a file lies in the folder of a config.json, or below it. */
function within(config: string, path: string): boolean {
  return path.startsWith(config.slice(0, -"config.json".length));
}

function readGiven(given: GivenFile): [path: string, blob: Blob] {
  if (kindOf(given) === "File") {
    const file = given as File;
    return [file.webkitRelativePath || file.name, file];
  }
  const { path, data } = (given ?? {}) as { path?: unknown; data?: unknown };
  const bytes = bytesOf(data);
  const blob = kindOf(data) === "Blob" || kindOf(data) === "File" ? (data as Blob) : bytes && new Blob([bytes.slice()]);
  if (typeof path === "string" && path !== "" && blob) return [path, blob];
  throw new InputError(`Expected a model's files as a list of File or { path, data }, got ${quote(given)}`);
}
