// The code view: an image under its grid of positions, each with its codes, and four things to do with them.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { BlobImage, download } from "../app/blob-image.tsx";
import { accepted, filesOf, imagesAmong } from "../app/image-files.ts";
import { facts } from "../app/model.ts";
import { complain } from "../app/notices.ts";
import { compared, looked } from "../app/views.ts";
import { differences, hasSameGrid } from "./code-edits.ts";
import { CodeGrid } from "./code-grid.tsx";
import { ComparePanel } from "./compare-panel.tsx";
import { FlipPanel } from "./flip-panel.tsx";
import { RewritePanel } from "./rewrite-panel.tsx";
import { busy, first, followLooks, painted, putBack, second, selected } from "./subjects.ts";
import { WordPanel, wordHeat } from "./word-panel.tsx";

const tools = {
  flip: "Flip a code",
  compare: "Compare and swap",
  rewrite: "Paint and rewrite",
  word: "Where a word looked",
};
type Tool = keyof typeof tools;

const tool = signal<Tool>("flip");
const showsCodes = signal(true);
let isFollowing = false;

export function CodesView() {
  useEffect(() => {
    if (!isFollowing) followLooks();
    isFollowing = true;
  }, []);
  const subject = first.value;
  const onDrop = (event: DragEvent) => {
    const files = filesOf(event.dataTransfer);
    if (!files) return;
    event.preventDefault();
    give(files);
  };
  return (
    <section class="codes" aria-label="Codes" onDragOver={(event) => event.preventDefault()} onDrop={onDrop}>
      <div class="row">
        <FileButton label={subject ? "Another image" : "Open an image"} onFiles={give} />
        {subject && (
          <>
            <label class="check">
              <input
                type="checkbox"
                checked={showsCodes.value}
                onChange={(event) => {
                  showsCodes.value = event.currentTarget.checked;
                }}
              />
              Show codes as colours
            </label>
            <button type="button" disabled={subject.codes === subject.original} onClick={() => putBack(first)}>
              Put codes back
            </button>
            <button
              type="button"
              disabled={!subject.decoded}
              onClick={() => download(subject.decoded!, "kelix-codes.png")}
            >
              Download
            </button>
          </>
        )}
        <span class="hint" role="status">
          {busy.value}
        </span>
      </div>
      {subject ? <Workbench /> : <Empty />}
    </section>
  );
}

function Empty() {
  return (
    <div class="welcome">
      <h2>An image is a grid of codes</h2>
      <p>
        Drop an image here, or press “Codes” under one in a chat or a drawing. Each position of its grid holds a few
        codes, one of each codebook; the image is decoded from them alone. Change one and watch.
      </p>
    </div>
  );
}

function Workbench() {
  const subject = first.value!;
  const other = second.value;
  const own = tool.value;
  const codesPerBook = facts.value?.codesPerBook ?? 256;
  const N = subject.codes.codes.length / (subject.codes.grid[0] * subject.codes.grid[1]);
  const paints = own === "rewrite" || own === "compare";
  const difference =
    own === "compare" && other && hasSameGrid(subject.codes, other.codes)
      ? differences(subject.codes, other.codes)
      : undefined;
  const heat = own === "word" ? wordHeat.value : difference?.map((count) => count / N);
  const painting = {
    painted: painted.value,
    onPaint: (positions: ReadonlySet<number>) => {
      painted.value = positions;
    },
  };
  return (
    <div class="workbench">
      <div class="images">
        <figure>
          <BlobImage
            blob={subject.image.blob}
            alt="As it came"
            class={`whole ${subject.image.seed === undefined ? "" : "drawn"}`}
          />
          <figcaption>As it came</figcaption>
        </figure>
        <figure class="main">
          <CodeGrid
            blob={subject.decoded ?? subject.image.blob}
            alt="Decoded from its codes"
            codes={subject.codes}
            codesPerBook={codesPerBook}
            showsCodes={showsCodes.value && !heat}
            selected={own === "flip" ? selected.value : undefined}
            onSelect={(position) => {
              selected.value = position;
            }}
            heat={heat}
            labelOf={difference && ((position) => `${difference[position]} of ${N} codes differ`)}
            {...(paints && painting)}
          />
          <figcaption>
            Decoded from its codes: {subject.codes.grid.join(" × ")} positions of {N} codes
          </figcaption>
        </figure>
        {own === "compare" && other && (
          <figure class="main">
            <CodeGrid
              blob={other.decoded ?? other.image.blob}
              alt="The other, decoded from its codes"
              codes={other.codes}
              codesPerBook={codesPerBook}
              showsCodes={showsCodes.value}
              {...painting}
            />
            <figcaption>The other</figcaption>
          </figure>
        )}
      </div>
      <div class="panel">
        <Tools />
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what the tab shows can be reached from it */}
        <div role="tabpanel" id="tool" aria-label={tools[own]} tabIndex={0}>
          {own === "flip" && <FlipPanel codesPerBook={codesPerBook} />}
          {own === "rewrite" && <RewritePanel />}
          {own === "compare" && (
            <ComparePanel
              difference={difference}
              choose={<FileButton label="Choose the other image" onFiles={giveOther} />}
            />
          )}
          {own === "word" && <WordPanel />}
        </div>
      </div>
    </div>
  );
}

/** Tabs: arrow keys go from one to the next. */
function Tools() {
  const names = Object.keys(tools) as Tool[];
  const list = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const at = (names.indexOf(tool.value) + step + names.length) % names.length;
    tool.value = names[at]!;
    list.current?.querySelectorAll("button")[at]?.focus();
  };
  return (
    <div ref={list} role="tablist" aria-label="What to do with codes" class="tabs" onKeyDown={onKeyDown}>
      {names.map((name) => (
        <button
          key={name}
          type="button"
          role="tab"
          aria-selected={tool.value === name}
          aria-controls="tool"
          tabIndex={tool.value === name ? 0 : -1}
          onClick={() => {
            tool.value = name;
          }}
        >
          {tools[name]}
        </button>
      ))}
    </div>
  );
}

function FileButton({ label, onFiles }: { readonly label: string; readonly onFiles: (files: Iterable<File>) => void }) {
  const file = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" onClick={() => file.current?.click()}>
        {label}
      </button>
      <input
        ref={file}
        type="file"
        hidden
        accept={accepted}
        aria-label={label}
        onChange={({ currentTarget }) => {
          onFiles([...(currentTarget.files ?? [])]);
          currentTarget.value = "";
        }}
      />
    </>
  );
}

/** One image is worked on, a second one is what it is compared with. */
function give(files: Iterable<File>): void {
  try {
    const [image, other] = imagesAmong(files);
    if (image) looked.value = image;
    if (other) compared.value = other;
  } catch (error) {
    complain(error);
  }
}

function giveOther(files: Iterable<File>): void {
  try {
    const [other] = imagesAmong(files);
    if (other) compared.value = other;
  } catch (error) {
    complain(error);
  }
}
