// Positions that are painted are written anew by the language model, as a prompt says; the others keep their codes.

import { signal } from "@preact/signals";
import { backend, sampling } from "../app/model.ts";
import { announcement, complain } from "../app/notices.ts";
import { positionCount } from "./code-edits.ts";
import { busy, first, painted, replace } from "./subjects.ts";

const prompt = signal("make it blue");
const seed = signal(1);
const running = signal<AbortController | undefined>(undefined);

export function stopRewriting(): void {
  running.value?.abort(new DOMException("Stopped", "AbortError"));
}

export function RewritePanel() {
  const total = positionCount(first.value!.codes);
  const count = painted.value.size;
  const all = () => {
    painted.value = count === total ? new Set() : new Set(Array.from({ length: total }, (_, i) => i));
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void rewrite();
      }}
    >
      <p>Paint over positions and say what should be there.</p>
      <label class="wide">
        What to change
        <input
          type="text"
          value={prompt.value}
          onInput={(event) => {
            prompt.value = event.currentTarget.value;
          }}
        />
      </label>
      <div class="row">
        <button type="button" onClick={all}>
          {count === total ? "Wipe" : "Paint all"}
        </button>
        <span class="space" />
        {running.value ? (
          <button type="button" class="primary" onClick={stopRewriting}>
            Stop
          </button>
        ) : (
          <button type="submit" class="primary" disabled={count === 0 || prompt.value.trim() === ""}>
            Rewrite {count} position{count === 1 ? "" : "s"}
          </button>
        )}
      </div>
      <p class="hint">
        The model writes painted positions in raster order: it sees the request, the whole old image, and of the new one
        what stands above and to the left. The others keep their codes. Pixels are decoded anew, so they may differ a
        little everywhere. Each press takes another seed.
      </p>
    </form>
  );
}

async function rewrite(): Promise<void> {
  const { image, codes } = first.value!;
  const controller = new AbortController();
  running.value = controller;
  busy.value = "Writing codes…";
  const mask = Array.from({ length: positionCount(codes) }, (_, i) => painted.value.has(i));
  const given = { ...image, blob: first.value!.decoded ?? image.blob, codes };
  const { maxNewTokens: _, ...own } = sampling.value;
  try {
    const pieces = backend.value.edit(
      given,
      prompt.value.trim(),
      mask,
      { ...own, seed: seed.value++ },
      controller.signal,
    );
    for await (const piece of pieces) {
      if (piece.type === "preview") replace(first, { blob: piece.blob }, codes);
      else replace(first, piece.image, piece.image.codes ?? (await backend.value.tokenize(piece.image)));
    }
    announcement.value = "The painted positions were rewritten";
  } catch (error) {
    complain(error);
  } finally {
    running.value = busy.value = undefined;
  }
}
