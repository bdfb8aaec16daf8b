// Writes a low-rank adapter in PEFT's layout.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ADAPTER_PREFIX, adapterFiles } from "../model/adapter.ts";
import { createFolder } from "../quantize/atomic-folder.ts";
import { writeSafetensors } from "../quantize/safetensors-file.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";

export interface AdapterSettings {
  /** The name or folder of the model that it was trained on. */
  readonly base: string;
  readonly rank: number;
  readonly alpha: number;
}

/** Writes an adapter as a new folder, atomically. `tensors` as in an Adapter (model/adapter.ts). */
export async function writeAdapter(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  { base, rank, alpha }: AdapterSettings,
): Promise<void> {
  const modules = [...tensors.keys()].flatMap((name) => /^(.+)\.lora_A\.weight$/.exec(name)?.[1] ?? []);
  const config = {
    peft_type: "LORA",
    base_model_name_or_path: base,
    r: rank,
    lora_alpha: alpha,
    target_modules: modules.sort(),
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    lora_dropout: 0,
    modules_to_save: null,
    task_type: null,
    use_dora: false,
    use_rslora: false,
  };
  const [configFile, weightsFile] = adapterFiles;
  await createFolder(path, async (folder) => {
    const named = [...tensors].map(([name, tensor]) => [`${ADAPTER_PREFIX}${name}`, tensor] as const);
    await writeSafetensors(join(folder, weightsFile), named, { format: "pt" });
    await writeFile(join(folder, configFile), `${JSON.stringify(config, null, 2)}\n`, { flush: true });
  });
}
