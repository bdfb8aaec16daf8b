// Images from words: a prompt, its settings, and a grid of what was drawn.

import { BlobImage, download } from "../app/blob-image.tsx";
import { facts } from "../app/model.ts";
import { NumberField } from "../app/number-field.tsx";
import { lookAt } from "../app/views.ts";
import { again, type Drawing, draw, drawings, isDrawing, stopDrawing, vary, type Wish, wish } from "./drawing.ts";

export function ImagineView() {
  const own = wish.value;
  const set = (change: Partial<Wish>) => {
    wish.value = { ...own, ...change };
  };
  const send = (event: Event) => {
    event.preventDefault();
    if (own.prompt.trim() !== "") void draw({ ...own, prompt: own.prompt.trim() });
  };
  const cannot = facts.value && !facts.value.canImagine;
  return (
    <div class="imagine">
      <form class="panel" onSubmit={send}>
        <label class="wide">
          What to draw
          <textarea rows={2} value={own.prompt} onInput={(event) => set({ prompt: event.currentTarget.value })} />
        </label>
        <div class="fields">
          <NumberField label="Seed" value={own.seed} min={0} step={1} onValue={(seed = 0) => set({ seed })} />
          <NumberField
            label="Images"
            value={own.count}
            min={1}
            max={9}
            step={1}
            onValue={(count = 1) => set({ count })}
          />
          <NumberField
            label="Steps"
            value={own.steps}
            fallback={facts.value?.defaults.steps}
            min={1}
            max={200}
            step={1}
            onValue={(steps) => set({ steps })}
          />
          <NumberField
            label="Guidance"
            value={own.guidance}
            fallback={facts.value?.defaults.guidance}
            min={0}
            max={20}
            step={0.1}
            onValue={(guidance) => set({ guidance })}
          />
        </div>
        <div class="row">
          <button type="button" onClick={() => set({ seed: Math.floor(Math.random() * 1e6) })}>
            Another seed
          </button>
          <span class="space" />
          {isDrawing.value ? (
            <button type="button" class="primary" onClick={stopDrawing}>
              Stop
            </button>
          ) : (
            <button type="submit" class="primary" disabled={own.prompt.trim() === "" || cannot}>
              Draw
            </button>
          )}
        </div>
        {cannot && <p class="hint">This model draws no images: choose another in the settings.</p>}
      </form>
      {drawings.value.length === 0 ? (
        <p class="hint centered">Images appear here while they are drawn. The same seed draws the same image.</p>
      ) : (
        <ul class="drawings" aria-label="Drawn images">
          {drawings.value.map((drawing) => (
            <Card key={drawing.id} drawing={drawing} />
          ))}
        </ul>
      )}
    </div>
  );
}

function Card({ drawing }: { readonly drawing: Drawing }) {
  const { prompt, settings, preview, image, seconds, cut } = drawing;
  const shown = image?.blob ?? preview;
  const name = `kelix-${prompt.replace(/\W+/g, "-").slice(0, 40)}-${settings.seed}.png`;
  return (
    <li class="card" aria-busy={!image && !cut}>
      <div class="frame">
        {shown ? (
          <BlobImage
            blob={shown}
            alt={image ? `${prompt}, seed ${settings.seed}` : "On the way"}
            class={image ? "drawn" : "drawn preview"}
          />
        ) : (
          <span class="hint">{cut ? "" : "Writing codes…"}</span>
        )}
      </div>
      <p class="caption" title={prompt}>
        seed {settings.seed}
        {seconds !== undefined && `, ${seconds.toFixed(1)} s`}
        {!image && cut}
      </p>
      {image && (
        <div class="actions">
          <button type="button" class="quiet" onClick={() => again(drawing)}>
            Again
          </button>
          <button type="button" class="quiet" onClick={() => vary(drawing)}>
            Vary
          </button>
          <button type="button" class="quiet" onClick={() => lookAt(image)}>
            Codes
          </button>
          <button type="button" class="quiet" onClick={() => download(image.blob, name)}>
            Download
          </button>
        </div>
      )}
    </li>
  );
}
