// Images for a prompt: one call for each seed, all at the same time, so that the model writes them in one batch.

import { signal } from "@preact/signals";
import { kept } from "../app/kept.ts";
import { backend, sampling } from "../app/model.ts";
import { announcement, complain, explain, isAbort } from "../app/notices.ts";
import type { PageImage, Sampling } from "../backend/backend.ts";

/** One image of the grid, on its way or done. */
export interface Drawing {
  readonly id: number;
  readonly prompt: string;
  readonly settings: Sampling & { readonly seed: number };
  readonly preview?: Blob;
  readonly image?: PageImage;
  readonly seconds?: number;
  readonly cut?: string;
}

export interface Wish {
  readonly prompt: string;
  readonly seed: number;
  readonly count: number;
  /** As the model says if absent. */
  readonly steps?: number | undefined;
  readonly guidance?: number | undefined;
}

export const wish = kept<Wish>("wish", { prompt: "two red circles", seed: 1, count: 4 });
/** The newest first. */
export const drawings = signal<readonly Drawing[]>([]);
export const isDrawing = signal(false);
let controller: AbortController | undefined;
let next = 0;

export function stopDrawing(): void {
  controller?.abort(new DOMException("Stopped", "AbortError"));
}

/** Draws as many images as are wanted, with seeds one after the other. */
export async function draw({ prompt, seed, count, steps, guidance }: Wish): Promise<void> {
  stopDrawing();
  const own = new AbortController();
  controller = own;
  isDrawing.value = true;
  const { temperature, topP, topK } = sampling.value;
  const begun = Array.from({ length: count }, (_, i): Drawing => {
    return { id: next++, prompt, settings: { temperature, topP, topK, steps, guidance, seed: seed + i } };
  });
  drawings.value = [...begun, ...drawings.value].slice(0, MOST);
  const done = await Promise.all(begun.map((one) => drawOne(one, own.signal)));
  if (controller !== own) return;
  isDrawing.value = false;
  announcement.value = `${done.filter(Boolean).length} of ${count} images drawn`;
}

/** More are not kept on the page. */
const MOST = 48;

async function drawOne(drawing: Drawing, signal: AbortSignal): Promise<boolean> {
  const began = performance.now();
  const { id, prompt, settings } = drawing;
  try {
    for await (const piece of backend.value.imagine(prompt, settings, signal)) {
      if (piece.type === "preview") update(id, { preview: piece.blob });
      else update(id, { image: piece.image, seconds: (performance.now() - began) / 1000 });
    }
    return true;
  } catch (error) {
    update(id, { cut: isAbort(error) ? "Stopped" : explain(error) });
    complain(error);
    return false;
  }
}

function update(id: number, change: Partial<Drawing>): void {
  drawings.value = drawings.value.map((own) => (own.id === id ? { ...own, ...change } : own));
}

/** The same image once more: its prompt, seed and settings. */
export function again({ prompt, settings: { seed, steps, guidance } }: Drawing): void {
  wish.value = { prompt, seed, count: 1, steps, guidance };
  void draw(wish.value);
}

/** The same prompt with the seeds that follow. */
export function vary({ prompt, settings: { seed, steps, guidance } }: Drawing): void {
  wish.value = { prompt, seed: seed + 1, count: 4, steps, guidance };
  void draw(wish.value);
}
