// Which view is shown, as the address's fragment says, and what is handed from one to another.

import { signal } from "@preact/signals";
import type { PageImage } from "../backend/backend.ts";

export const views = ["chat", "imagine", "codes"] as const;
export type View = (typeof views)[number];

export const view = signal<View>(readView());

export function followAddress(): void {
  addEventListener("hashchange", () => {
    view.value = readView();
  });
}

function readView(): View {
  const name = location.hash.slice(1);
  return views.find((own) => own === name) ?? "chat";
}

/** The images of the code view: the one that is worked on, and one to compare it with. */
export const looked = signal<PageImage | undefined>(undefined);
export const compared = signal<PageImage | undefined>(undefined);

/** Opens the code view on an image; the one that was there stands beside it. */
export function lookAt(image: PageImage): void {
  if (looked.value && looked.value !== image) compared.value = looked.value;
  looked.value = image;
  location.hash = "codes";
}
