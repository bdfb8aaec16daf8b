// The codes of one position, each of which can be changed.

import { codesAt, withCode, withPositionsOf } from "./code-edits.ts";
import { codeColour } from "./code-grid.tsx";
import { change, first, selected } from "./subjects.ts";

export function FlipPanel({ codesPerBook }: { readonly codesPerBook: number }) {
  const { codes, original } = first.value!;
  const position = selected.value;
  const columns = codes.grid[1];
  const before = codesAt(original, position);
  const set = (book: number, code: number) => {
    const inside = Math.min(codesPerBook - 1, Math.max(0, Math.round(code) || 0));
    void change(first, withCode(codes, position, book, inside));
  };
  const flip = (book: number) => set(book, Math.floor(Math.random() * codesPerBook));
  return (
    <>
      <h3>
        Row {Math.floor(position / columns) + 1}, column {(position % columns) + 1}
      </h3>
      <p class="hint">Choose a position in the image. A code is an entry of its codebook, 0 to {codesPerBook - 1}.</p>
      <ol class="books">
        {codesAt(codes, position).map((code, book) => (
          <li key={book}>
            <i style={{ background: codeColour(code, codesPerBook) }} />
            <input
              type="range"
              min={0}
              max={codesPerBook - 1}
              value={code}
              aria-label={`Codebook ${book + 1}`}
              onInput={(event) => set(book, event.currentTarget.valueAsNumber)}
            />
            <output class={code === before[book] ? "" : "changed"}>{code}</output>
            <button
              type="button"
              class="quiet"
              aria-label={`Flip the code of codebook ${book + 1}`}
              onClick={() => flip(book)}
            >
              Flip
            </button>
          </li>
        ))}
      </ol>
      <button type="button" onClick={() => void change(first, withPositionsOf(codes, original, [position]))}>
        Put this position back
      </button>
    </>
  );
}
