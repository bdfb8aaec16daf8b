// Loads a model: finds its files, opens them, checks all that can be checked before a weight is read, and reads its text files.

import { loadBackend, prepareBackend } from "#backend";
import { platform } from "#platform";
import type { ModelFiles } from "../files/model-files.ts";
import { blockVocabulary } from "../llm/config.ts";
import type { MemoryGuard, ModelSource } from "../platform.ts";
import type { LoadSettings } from "../read-options.ts";
import { checkTextIds } from "../text/check-text.ts";
import { loadText } from "../text/load-text.ts";
import { adapterFiles, checkAdapter, readAdapter } from "./adapter.ts";
import { checkModel, warnOfTwoOutputs } from "./declare.ts";
import { describeUnknownFields, findPartFiles, languageConfig, type OpenedModel, openModel } from "./open.ts";

export interface LoadedModel {
  readonly model: OpenedModel;
  readonly memory: MemoryGuard;
}

/** See Kelix.load. */
export async function loadModel(source: ModelSource, settings: LoadSettings): Promise<LoadedModel> {
  const { device, signal, onProgress, onWarning, ignoreMemory } = settings;
  signal?.throwIfAborted();
  prepareBackend(settings);
  if (device && device !== "cpu") await loadBackend(device); // refuses one that is not there
  let opened: OpenedModel | undefined;
  try {
    const find = (name: ModelSource, include?: readonly string[]) =>
      platform.openFiles(name, {
        signal,
        onProgress: ({ doneBytes, totalBytes }) => onProgress?.({ task: "fetch", done: doneBytes, total: totalBytes }),
        onWait: ({ message }) => onWarning?.(message),
        ...(include && { include }),
      });
    const files = await find(source);
    opened = await openModel(files, await findPartFiles(settings, find));
    checkModel(opened);
    const memory = await platform.guardMemory(opened, ignoreMemory);
    await warnOfTwoOutputs(opened.weights, onWarning);
    if (opened.unknownFields.length > 0) onWarning?.(describeUnknownFields(opened));
    const model = await withText(opened, files);
    const adapter =
      settings.adapter === undefined ? undefined : await readAdapter(await find(settings.adapter, adapterFiles));
    if (adapter) checkAdapter(adapter, languageConfig(opened));
    signal?.throwIfAborted();
    onProgress?.({ task: "load", done: 1, total: 1 });
    return { model: adapter ? { ...model, adapter } : model, memory };
  } catch (error) {
    await opened?.close();
    throw signal?.aborted ? signal.reason : error;
  }
}

/** The model with its tokenizer and chat template, if it has a language model. */
async function withText(model: OpenedModel, files: ModelFiles): Promise<OpenedModel> {
  if (!model.ar) return model;
  const text = await loadText(files, platform.templates);
  const { qwen_config: qwen } = model.ar;
  checkTextIds(text.tokenizer, { ...blockVocabulary(qwen), pad: qwen.pad_token_id });
  return { ...model, text };
}
