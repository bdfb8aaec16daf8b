// Settings of answers and drawings, and of the model. Empty means as the model says.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Sampling } from "../backend/backend.ts";
import { device, facts, modelSource, place, sampling, serverAddress, serverKey, serverUrl, threads } from "./model.ts";
import { NumberField } from "./number-field.tsx";

export function SettingsDialog({ close }: { readonly close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="settings" aria-labelledby="settings-title" onClose={close}>
      <h2 id="settings-title">Settings</h2>
      <Answers />
      {place.value === "browser" ? <InBrowser /> : <OnServer />}
      <div class="row">
        <button
          type="button"
          onClick={() => {
            sampling.value = {};
          }}
        >
          Reset to the model's
        </button>
        <span class="space" />
        <button type="button" class="primary" onClick={() => dialog.current?.close()}>
          Done
        </button>
      </div>
    </dialog>
  );
}

type Field = readonly [name: keyof Sampling, label: string, min: number, max: number, step: number | "any"];

const fields: readonly Field[] = [
  ["temperature", "Temperature", 0, 100, "any"],
  ["topP", "Top p", 0.01, 1, "any"],
  ["topK", "Top k", 0, 4_194_304, 1],
  ["maxNewTokens", "Tokens at most", 1, 1_000_000, 1],
  ["seed", "Seed", 0, Number.MAX_SAFE_INTEGER, 1],
  ["steps", "Steps of drawing", 1, 200, 1],
  ["guidance", "Guidance of drawing", 0, 20, "any"],
];

function Answers() {
  const { temperature: _, topP: __, topK: ___, ...defaults } = facts.value?.defaults ?? {};
  return (
    <Group title="Answers">
      <div class="fields">
        {fields.map(([name, label, min, max, step]) => (
          <NumberField
            key={name}
            label={label}
            value={sampling.value[name]}
            fallback={(defaults as Sampling)[name]}
            min={min}
            max={max}
            step={step}
            onValue={(value) => {
              const { [name]: _, ...rest } = sampling.value;
              sampling.value = value === undefined ? rest : { ...rest, [name]: value };
            }}
          />
        ))}
      </div>
      <p class="hint">
        An empty field means the model's own setting: the likeliest text, and codes of images sampled as it was made
        for.
      </p>
    </Group>
  );
}

function InBrowser() {
  const hasWebGpu = useHasWebGpu();
  return (
    <Group title="Model in this browser">
      <label class="wide">
        Model: a folder's address, or owner/name of the Hub
        <input
          type="text"
          value={modelSource.value}
          onChange={(event) => {
            modelSource.value = event.currentTarget.value.trim() || "kelix-nano/";
          }}
        />
      </label>
      <div class="fields">
        <label>
          Computes on
          <select
            value={device.value}
            onChange={(event) => {
              device.value = event.currentTarget.value as typeof device.value;
            }}
          >
            <option value="auto">Automatic</option>
            <option value="wasm">WebAssembly</option>
            <option value="webgpu" disabled={!hasWebGpu}>
              WebGPU
            </option>
          </select>
        </label>
        <label>
          Threads
          <select
            value={threads.value}
            onChange={(event) => {
              threads.value = Number(event.currentTarget.value);
            }}
          >
            {[1, 2, 3, 4].map((count) => (
              <option key={count}>{count}</option>
            ))}
          </select>
        </label>
      </div>
      <p class="hint">
        {hasWebGpu
          ? "Automatic: each part of the model is measured for about a second when it first works, and runs where it is faster."
          : "This browser has no WebGPU here, so WebAssembly is used, which works everywhere. For WebGPU, turn on hardware acceleration in the browser's settings."}
      </p>
      {threads.value > 1 && !crossOriginIsolated && (
        <p class="cut">
          The page is not isolated, so one thread is used: {isSecureContext ? "reload it once" : "open it over https"}.
        </p>
      )}
    </Group>
  );
}

/** Whether the browser gives a WebGPU adapter to this page; as if it did, until it is known. */
function useHasWebGpu(): boolean {
  const [hasWebGpu, setHasWebGpu] = useState(true);
  useEffect(() => {
    const find = async () => setHasWebGpu(Boolean(await navigator.gpu?.requestAdapter().catch(() => null)));
    void find();
  }, []);
  return hasWebGpu;
}

function OnServer() {
  return (
    <Group title="Server">
      <label class="wide">
        Address, such as {serverAddress.value}
        <input
          type="url"
          value={serverUrl.value}
          placeholder={serverAddress.value}
          onChange={(event) => {
            const { value } = event.currentTarget;
            if (value === "" || URL.canParse(value)) serverUrl.value = value;
          }}
        />
      </label>
      <label class="wide">
        API key, if it wants one
        <input
          type="password"
          autocomplete="off"
          value={serverKey.value}
          onChange={(event) => {
            serverKey.value = event.currentTarget.value;
          }}
        />
      </label>
      <p class="hint">
        Conversations stay in this browser; the server gets what it is asked to answer. The key is forgotten with the
        page.
      </p>
    </Group>
  );
}

function Group({ title, children }: { readonly title: string; readonly children: ComponentChildren }) {
  return (
    <section>
      <h3>{title}</h3>
      {children}
    </section>
  );
}
