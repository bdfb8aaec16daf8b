// Where the model runs, with the switch, and how far it has been fetched.

import { facts, loading, modelState, place, reopen } from "./model.ts";

export function ModelStatus() {
  return (
    <div class="model">
      <fieldset class="switch">
        <legend class="unseen">Where the model runs</legend>
        {(["browser", "server"] as const).map((own) => (
          <label key={own}>
            <input
              type="radio"
              name="place"
              checked={place.value === own}
              onChange={() => {
                place.value = own;
              }}
            />
            <span>{own === "browser" ? "This browser" : "Server"}</span>
          </label>
        ))}
      </fieldset>
      <span class="state" role="status">
        <State />
      </span>
    </div>
  );
}

function State() {
  const progress = loading.value;
  if (progress) {
    const { done, total } = progress;
    return (
      <>
        <progress value={done} max={total} aria-label="Model fetched" /> {megabytes(done)} of {megabytes(total)} MB
      </>
    );
  }
  if (modelState.value === "opening") return <>Opening the model…</>;
  if (modelState.value === "ready") return <>{facts.value?.name}</>;
  if (modelState.value === "failed") {
    return (
      <button type="button" class="quiet" onClick={reopen}>
        No model. Try again
      </button>
    );
  }
  return null;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
