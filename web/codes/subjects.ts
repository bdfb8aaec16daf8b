// The two images of the code view: one that is worked on and one to compare it with, each as it came, as codes, and decoded from them.

import { batch, effect, type Signal, signal } from "@preact/signals";
import { backend } from "../app/model.ts";
import { complain, isAbort } from "../app/notices.ts";
import { compared, looked } from "../app/views.ts";
import type { Codes, PageImage } from "../backend/backend.ts";
import { hasSameGrid, withPositionsOf } from "./code-edits.ts";

export interface Subject {
  readonly image: PageImage;
  /** Those it came with. */
  readonly original: Codes;
  readonly codes: Codes;
  /** The image decoded from its codes, as soon as it is. */
  readonly decoded?: Blob;
}

export const first = signal<Subject | undefined>(undefined);
export const second = signal<Subject | undefined>(undefined);
/** What is being waited for. */
export const busy = signal<string | undefined>(undefined);
export const selected = signal(0);
export const painted = signal<ReadonlySet<number>>(new Set());

/** Every decoding starts from the same noise, so that what changes in the image is what changed in the codes. */
const DECODING = { seed: 1 };

type Place = Signal<Subject | undefined>;
const decoding = new Map<Place, AbortController>();

/** Tokenizes what other views hand over. */
export function followLooks(): void {
  effect(() => void open(first, looked.value));
  effect(() => void open(second, compared.value));
}

async function open(place: Place, image: PageImage | undefined): Promise<void> {
  if (!image || place.peek()?.image === image) return;
  busy.value = "Reading its codes…";
  try {
    const codes = image.codes ?? (await backend.peek().tokenize(image));
    batch(() => {
      place.value = { image, original: codes, codes };
      if (place === first) [selected.value, painted.value] = [0, new Set()];
    });
    await decode(place);
  } catch (error) {
    complain(error);
  } finally {
    busy.value = undefined;
  }
}

/** Gives a subject other codes, and shows what they look like. */
export async function change(place: Place, codes: Codes): Promise<void> {
  if (!place.value) return;
  place.value = { ...place.value, codes };
  await decode(place);
}

/** Shows an image that the model wrote in the subject's place. What it came with stays to be put back. */
export function replace(place: Place, image: PageImage, codes: Codes): void {
  if (place.value) place.value = { ...place.value, codes, decoded: image.blob };
}

/** Puts back the codes that an image came with. */
export function putBack(place: Place): void {
  if (place.value) void change(place, place.value.original);
}

/** Exchanges the codes of positions between the two. */
export async function swap(positions: Iterable<number>): Promise<void> {
  const [a, b] = [first.value?.codes, second.value?.codes];
  if (!a || !b || !hasSameGrid(a, b)) return;
  const own = [...positions];
  await Promise.all([change(first, withPositionsOf(a, b, own)), change(second, withPositionsOf(b, a, own))]);
}

/** Decodes a subject. An older decoding of it that still runs is given up. */
async function decode(place: Place): Promise<void> {
  decoding.get(place)?.abort(new DOMException("Replaced", "AbortError"));
  const controller = new AbortController();
  decoding.set(place, controller);
  const { codes } = place.value!;
  try {
    const { blob } = await backend.peek().reconstruct(codes, DECODING, controller.signal);
    if (place.value?.codes === codes) place.value = { ...place.value, decoded: blob };
  } catch (error) {
    if (!isAbort(error)) complain(error);
  }
}
