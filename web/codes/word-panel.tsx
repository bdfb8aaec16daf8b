// Where a word looked: how much less likely each token of an answer is without one position of the image.

import { computed, signal } from "@preact/signals";
import { backend } from "../app/model.ts";
import { complain } from "../app/notices.ts";
import type { Codes, Occlusion } from "../backend/backend.ts";
import { busy, first } from "./subjects.ts";

const question = signal("What is this?");
const answer = signal("");
const found = signal<(Occlusion & { readonly codes: Codes }) | undefined>(undefined);
const token = signal(0);
const running = signal<AbortController | undefined>(undefined);

/** For the grid: the drop of the chosen token at each position, in shares of the largest. */
export const wordHeat = computed(() => {
  const own = found.value;
  if (!own || own.codes !== first.value?.codes) return undefined;
  const drops = own.drops.map((row) => row[token.value] ?? 0);
  const most = Math.max(0.05, ...drops.map(Math.abs));
  return drops.map((drop) => drop / most);
});

export function stopLooking(): void {
  running.value?.abort(new DOMException("Stopped", "AbortError"));
}

export function WordPanel() {
  const own = found.value?.codes === first.value?.codes ? found.value : undefined;
  const largest = own && Math.max(...own.drops.map((row) => row[token.value] ?? 0));
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void look();
      }}
    >
      <label class="wide">
        Question
        <input
          type="text"
          value={question.value}
          onInput={(event) => {
            question.value = event.currentTarget.value;
          }}
        />
      </label>
      <label class="wide">
        Answer (empty: the model's own)
        <input
          type="text"
          value={answer.value}
          onInput={(event) => {
            answer.value = event.currentTarget.value;
          }}
        />
      </label>
      <div class="row">
        <span class="space" />
        {running.value ? (
          <button type="button" class="primary" onClick={stopLooking}>
            Stop
          </button>
        ) : (
          <button type="submit" class="primary" disabled={question.value.trim() === "" || !backend.value.occlude}>
            Look
          </button>
        )}
      </div>
      {!backend.value.occlude && (
        <p class="cut">A server does not score answers: switch to the model in this browser.</p>
      )}
      {own && (
        <>
          <div class="words" role="radiogroup" aria-label="Words of the answer">
            {own.tokens.map((text, i) => (
              <label key={i} class="word">
                <input
                  type="radio"
                  name="word"
                  checked={token.value === i}
                  onChange={() => {
                    token.value = i;
                  }}
                />
                <span>{nameOf(text, i === own.tokens.length - 1)}</span>
              </label>
            ))}
          </div>
          <p class="hint">Its log-probability falls by at most {largest!.toFixed(2)} when one position is blank.</p>
        </>
      )}
      <p class="hint">
        This is occlusion, not attention: each position in turn gets the codes of blank paper, and the answer is scored
        again. Orange positions spoke for the word, blue ones against it.
      </p>
    </form>
  );
}

async function look(): Promise<void> {
  const { image, codes } = first.value!;
  const controller = new AbortController();
  const { signal: abort } = controller;
  running.value = controller;
  busy.value = "Scoring the answer without each position…";
  try {
    answer.value ||= await ask(abort, { ...image, codes });
    const occlusion = await backend.value.occlude!(codes, question.value, answer.value, abort);
    token.value = mostMoved(occlusion);
    found.value = { ...occlusion, codes };
  } catch (error) {
    complain(error);
  } finally {
    running.value = busy.value = undefined;
  }
}

/** The model's own answer. */
async function ask(signal: AbortSignal, image: { readonly blob: Blob; readonly codes: Codes }): Promise<string> {
  const content = [{ type: "image", image } as const, { type: "text", text: question.value } as const];
  let text = "";
  for await (const piece of backend.value.chat([{ role: "user", content }], { maxNewTokens: 32 }, signal))
    if (piece.type === "text") text += piece.text;
  return text.trim() || "nothing";
}

/** The token that depends most on one position, but the mark that ends the answer: the most telling to begin with. */
function mostMoved({ tokens, drops }: Occlusion): number {
  const largest = tokens.slice(0, -1).map((_, i) => Math.max(...drops.map((row) => row[i]!)));
  return Math.max(0, largest.indexOf(Math.max(...largest)));
}

function nameOf(token: string, isEnd: boolean): string {
  if (isEnd) return "end of answer";
  return token.trim() === "" ? "␣" : token;
}
