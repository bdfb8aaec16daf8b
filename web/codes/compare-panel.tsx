// Two images in codes: where they differ, and positions exchanged between them.

import type { ComponentChild } from "preact";
import { first, painted, putBack, second, swap } from "./subjects.ts";

interface Props {
  /** Codes that differ at each position; absent where the grids differ. */
  readonly difference: readonly number[] | undefined;
  /** The button that chooses the other image. */
  readonly choose: ComponentChild;
}

export function ComparePanel({ difference, choose }: Props) {
  const [a, b] = [first.value!, second.value];
  if (!b) {
    return (
      <>
        <p>
          Choose a second image. The grid then shows how many codes differ at each position, and painted positions can
          be swapped.
        </p>
        {choose}
      </>
    );
  }
  if (!difference) {
    return (
      <>
        <p>
          The images have different grids, {a.codes.grid.join(" × ")} and {b.codes.grid.join(" × ")}: choose one of the
          same shape.
        </p>
        {choose}
      </>
    );
  }
  const differing = difference.reduce((sum, count) => sum + count, 0);
  const places = difference.filter((count) => count > 0).length;
  const count = painted.value.size;
  return (
    <>
      <p>
        <strong>{differing}</strong> of {a.codes.codes.length} codes differ, at {places} of {difference.length}{" "}
        positions. The more orange, the more of them.
      </p>
      <p class="hint">Paint positions in either image, then swap their codes.</p>
      <div class="row">
        <button type="button" class="primary" disabled={count === 0} onClick={() => void swap(painted.value)}>
          Swap {count} position{count === 1 ? "" : "s"}
        </button>
        <button
          type="button"
          disabled={count === 0}
          onClick={() => {
            painted.value = new Set();
          }}
        >
          Wipe
        </button>
        <button type="button" disabled={b.codes === b.original} onClick={() => putBack(second)}>
          Put the other back
        </button>
      </div>
      {choose}
    </>
  );
}
