// biome-ignore-all lint/a11y/useSemanticElements: a table laid out as a grid over an image would lose its roles
// An image under the grid of its positions. Arrow keys go from position to position; a click or Space selects or paints one, and
// dragging paints.

import { useEffect, useRef, useState } from "preact/hooks";
import { BlobImage } from "../app/blob-image.tsx";
import type { Codes } from "../backend/backend.ts";
import { codesAt, positionCount } from "./code-edits.ts";

interface Props {
  readonly blob: Blob;
  readonly alt: string;
  readonly codes: Codes;
  readonly codesPerBook: number;
  /** Whether each position shows its codes as colours. */
  readonly showsCodes?: boolean;
  readonly selected?: number | undefined;
  readonly onSelect?: (position: number) => void;
  readonly painted?: ReadonlySet<number>;
  /** Given where positions are painted. */
  readonly onPaint?: (positions: ReadonlySet<number>) => void;
  /** From -1 to 1 for each position, shown as blue and orange. */
  readonly heat?: readonly number[] | undefined;
  /** Said of a position after its place. */
  readonly labelOf?: (position: number) => string;
}

export function CodeGrid(props: Props) {
  const { blob, alt, codes, codesPerBook, showsCodes, selected, onSelect, painted, onPaint, heat, labelOf } = props;
  const [rows, columns] = codes.grid;
  const root = useRef<HTMLDivElement>(null);
  const [focus, setFocus] = useState(0);
  /** While dragging: whether positions are painted or wiped. */
  const brush = useRef<boolean | undefined>(undefined);
  useEffect(() => {
    const end = () => {
      brush.current = undefined;
    };
    addEventListener("pointerup", end);
    return () => removeEventListener("pointerup", end);
  }, []);
  const paint = (position: number, isOn: boolean) => {
    const own = new Set(painted);
    if (isOn) own.add(position);
    else own.delete(position);
    onPaint?.(own);
  };
  const act = (position: number) => {
    onSelect?.(position);
    if (onPaint) paint(position, !painted?.has(position));
  };
  const go = (position: number) => {
    setFocus(position);
    root.current?.querySelectorAll<HTMLElement>("[role=gridcell]")[position]?.focus();
  };
  const onKeyDown = (event: KeyboardEvent, position: number) => {
    const [row, column] = [Math.floor(position / columns), position % columns];
    const steps: Record<string, number | undefined> = {
      ArrowLeft: column > 0 ? -1 : 0,
      ArrowRight: column < columns - 1 ? 1 : 0,
      ArrowUp: row > 0 ? -columns : 0,
      ArrowDown: row < rows - 1 ? columns : 0,
    };
    const step = steps[event.key];
    if (step !== undefined) go(position + step);
    else if (event.key === " " || event.key === "Enter") act(position);
    else return;
    event.preventDefault();
  };
  const onPointerDown = (event: PointerEvent, position: number) => {
    setFocus(position);
    if (!onPaint) return;
    (event.target as Element).releasePointerCapture?.(event.pointerId); // a finger keeps to where it began otherwise
    brush.current = !painted?.has(position);
    paint(position, brush.current);
    onSelect?.(position);
  };
  const onPointerMove = (event: PointerEvent) => {
    if (brush.current === undefined) return;
    const cell = document.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>("[data-position]");
    const position = cell && root.current?.contains(cell) ? Number(cell.dataset.position) : undefined;
    if (position !== undefined && painted?.has(position) !== brush.current) paint(position, brush.current);
  };
  const cell = (position: number) => {
    const [row, column] = [Math.floor(position / columns), position % columns];
    const isPainted = painted?.has(position) ?? false;
    const isSelected = onPaint ? isPainted : selected === position;
    return (
      <div
        key={position}
        role="gridcell"
        data-position={position}
        tabIndex={position === focus ? 0 : -1}
        aria-selected={isSelected}
        aria-label={`Row ${row + 1}, column ${column + 1}${isPainted ? ", painted" : ""}${labelOf ? `, ${labelOf(position)}` : ""}`}
        class={`cell ${isPainted ? "painted" : ""} ${selected === position ? "selected" : ""}`}
        style={heat && !isPainted ? { background: heatColour(heat[position]!) } : undefined}
        onKeyDown={(event) => onKeyDown(event, position)}
        onPointerDown={(event) => onPointerDown(event, position)}
        onClick={() => !onPaint && onSelect?.(position)}
      >
        {showsCodes &&
          codesAt(codes, position).map((code, book) => (
            <i key={book} style={{ background: codeColour(code, codesPerBook) }} />
          ))}
      </div>
    );
  };
  const all = Array.from({ length: positionCount(codes) }, (_, i) => i);
  return (
    <div class={`code-grid ${onPaint ? "paints" : ""}`} style={{ aspectRatio: `${columns} / ${rows}` }}>
      <BlobImage blob={blob} alt={alt} class="drawn" />
      <div
        ref={root}
        role="grid"
        aria-label={`${alt}: positions`}
        aria-multiselectable={onPaint ? "true" : undefined}
        class="cells"
        style={{ gridTemplateColumns: `repeat(${columns}, 1fr)`, gridTemplateRows: `repeat(${rows}, 1fr)` }}
        onPointerMove={onPointerMove}
      >
        {Array.from({ length: rows }, (_, row) => (
          // biome-ignore lint/a11y/useFocusableInteractive: its cells have the focus
          <div key={row} role="row" class="cell-row">
            {all.slice(row * columns, (row + 1) * columns).map(cell)}
          </div>
        ))}
      </div>
    </div>
  );
}

export function codeColour(code: number, codesPerBook: number): string {
  return `hsl(${Math.round((360 * code) / codesPerBook)} 75% 52%)`;
}

/** Orange above 0, blue below, clear at 0. */
function heatColour(value: number): string {
  const strength = Math.min(1, Math.abs(value));
  return value >= 0 ? `rgb(255 120 0 / ${0.6 * strength})` : `rgb(0 110 255 / ${0.6 * strength})`;
}
