// Features of every training drawing, computed once and cached as long as the drawings are unchanged.

import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openSafetensorsAt, writeSafetensors } from "../../quantize/safetensors-file.ts";
import { f32 } from "../../runtime/host-tensor.ts";
import type { TrainingDrawings } from "./training-drawings.ts";

/** Where evaluation keeps downloads and cached results. */
export const evalFolder = (cacheFolder: string): string => join(cacheFolder, "eval");

/** [drawings, width] under a name. */
export async function cachedRows(
  cacheFolder: string,
  name: string,
  drawings: TrainingDrawings,
  width: number,
  compute: () => Promise<Float32Array>,
): Promise<Float32Array> {
  const path = join(evalFolder(cacheFolder), `${name}.safetensors`);
  const hash = createHash("sha256").update(JSON.stringify(drawings.names)).digest("hex");
  const known = await openSafetensorsAt(path).catch(() => undefined);
  if (known) {
    const isSame = known.metadata.drawings === hash && known.tensors.get(name)?.shape[1] === width;
    const rows = isSame ? ((await known.read(name)).data as Float32Array) : undefined;
    await known.close();
    if (rows) return rows;
  }
  const rows = Float32Array.from(await compute());
  await mkdir(evalFolder(cacheFolder), { recursive: true });
  await writeSafetensors(path, [[name, f32(rows, [drawings.names.length, width])]], { drawings: hash });
  return rows;
}
