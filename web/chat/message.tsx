// One message of the conversation: its parts, and what can be done with it.

import { useState } from "preact/hooks";
import { BlobImage, download } from "../app/blob-image.tsx";
import { lookAt } from "../app/views.ts";
import type { PageImage, Part } from "../backend/backend.ts";
import { current, live, regenerate, say, showBranch } from "./answering.ts";
import { imagesOf, type Node, siblings, textOf } from "./conversation.ts";
import { Markdown } from "./markdown.tsx";

export function MessageView({ node, isLast }: { readonly node: Node; readonly isLast: boolean }) {
  const [isEditing, setEditing] = useState(false);
  const isBusy = live.value !== undefined;
  const isUser = node.role === "user";
  return (
    <article class={`message ${node.role}`} aria-label={isUser ? "You" : "Kelix"}>
      {isEditing ? (
        <EditForm node={node} close={() => setEditing(false)} />
      ) : (
        <Content content={node.content} isMarkdown={!isUser} />
      )}
      {node.cut && <Cut cut={node.cut} />}
      <footer class="actions">
        <Branches node={node} />
        {isUser && !isEditing && (
          <button type="button" class="quiet" disabled={isBusy} onClick={() => setEditing(true)}>
            Edit
          </button>
        )}
        {!isUser && isLast && (
          <button type="button" class="quiet" disabled={isBusy} onClick={() => void regenerate(node)}>
            Regenerate
          </button>
        )}
        {!isUser && <TimingLine node={node} />}
      </footer>
    </article>
  );
}

/** The answer that is being written. */
export function LiveMessage() {
  const answer = live.value;
  if (!answer || answer.conversation !== current.value.id) return null;
  const { content, preview } = answer;
  return (
    <article class="message assistant" aria-label="Kelix" aria-busy="true">
      <Content content={content} isMarkdown />
      {preview && <BlobImage blob={preview} alt="The image that is being drawn" class="drawn preview" />}
      {content.length === 0 && !preview && <p class="thinking">Thinking…</p>}
    </article>
  );
}

function Content({ content, isMarkdown }: { readonly content: readonly Part[]; readonly isMarkdown: boolean }) {
  return (
    <>
      {content.map((part, i) => {
        if (part.type === "image") return <ImagePart key={i} image={part.image} />;
        return isMarkdown ? (
          <Markdown key={i} text={part.text} />
        ) : (
          <p key={i} class="plain">
            {part.text}
          </p>
        );
      })}
    </>
  );
}

function ImagePart({ image }: { readonly image: PageImage }) {
  const isDrawn = image.seed !== undefined;
  return (
    <figure class="part">
      <BlobImage
        blob={image.blob}
        alt={isDrawn ? "Drawn by the model" : "Given by you"}
        class={isDrawn ? "drawn" : ""}
      />
      <figcaption>
        <button type="button" class="quiet" onClick={() => lookAt(image)}>
          Codes
        </button>
        <button type="button" class="quiet" onClick={() => download(image.blob, "kelix.png")}>
          Download
        </button>
      </figcaption>
    </figure>
  );
}

function Cut({ cut }: { readonly cut: NonNullable<Node["cut"]> }) {
  if (cut === "stopped") return <p class="cut">Stopped.</p>;
  if (cut === "length") return <p class="cut">Cut at the longest answer: raise it in the settings for more.</p>;
  return <p class="cut error">{cut.error}</p>;
}

function Branches({ node }: { readonly node: Node }) {
  const all = siblings(current.value, node);
  if (all.length < 2) return null;
  const at = all.findIndex(({ id }) => id === node.id);
  const go = (by: number) => showBranch(all[at + by]!);
  return (
    <span class="branches">
      <button type="button" class="quiet" aria-label="Earlier version" disabled={at === 0} onClick={() => go(-1)}>
        ‹
      </button>
      {at + 1} of {all.length}
      <button
        type="button"
        class="quiet"
        aria-label="Later version"
        disabled={at === all.length - 1}
        onClick={() => go(1)}
      >
        ›
      </button>
    </span>
  );
}

function TimingLine({ node: { timing } }: { readonly node: Node }) {
  if (!timing) return null;
  const { firstMs, totalMs, tokens } = timing;
  const rate = tokens > 0 && totalMs > 0 ? `${rateOf(tokens / (totalMs / 1000))} tokens/s, ` : "";
  return (
    <span class="timing" title={`First piece after ${Math.round(firstMs)} ms`}>
      {rate}
      {(totalMs / 1000).toFixed(2)} s
    </span>
  );
}

function EditForm({ node, close }: { readonly node: Node; readonly close: () => void }) {
  const [text, setText] = useState(textOf(node));
  const send = (event: Event) => {
    event.preventDefault();
    close();
    void say(text.trim(), imagesOf(node), node);
  };
  return (
    <form class="edit" onSubmit={send} onKeyDown={(event) => event.key === "Escape" && close()}>
      {imagesOf(node).map((image, i) => (
        <BlobImage key={i} blob={image.blob} alt="" class="thumb" />
      ))}
      <textarea
        aria-label="Your message"
        rows={2}
        value={text}
        ref={(own) => own?.focus()}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <div class="row">
        <button type="submit" class="primary">
          Send
        </button>
        <button type="button" onClick={close}>
          Cancel
        </button>
      </div>
    </form>
  );
}

function rateOf(perSecond: number): string {
  return perSecond < 10 ? perSecond.toFixed(1) : `${Math.round(perSecond)}`;
}
