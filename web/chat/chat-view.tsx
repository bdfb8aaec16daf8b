// The conversation: earlier ones beside it, messages, and where the next is written.

import { useSignalEffect } from "@preact/signals";
import { useRef, useState } from "preact/hooks";
import { filesOf } from "../app/image-files.ts";
import { live, path } from "./answering.ts";
import { addFiles, Composer } from "./composer.tsx";
import { HistoryList } from "./history-list.tsx";
import { LiveMessage, MessageView } from "./message.tsx";

export function ChatView() {
  const [isListOpen, setListOpen] = useState(false);
  const [isOver, setOver] = useState(false);
  const log = useRef<HTMLDivElement>(null);
  useSignalEffect(() => {
    void [live.value, path.value]; // whatever comes, the end is shown
    requestAnimationFrame(() => log.current?.scrollTo({ top: log.current.scrollHeight }));
  });
  const onDrop = (event: DragEvent) => {
    setOver(false);
    const files = filesOf(event.dataTransfer);
    if (!files) return;
    event.preventDefault();
    addFiles(files);
  };
  const messages = path.value;
  return (
    <div class={`chat ${isListOpen ? "list-open" : ""}`}>
      <HistoryList close={() => setListOpen(false)} />
      <section
        class={`talk ${isOver ? "over" : ""}`}
        aria-label="Conversation"
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={onDrop}
      >
        <button type="button" class="list-switch" aria-expanded={isListOpen} onClick={() => setListOpen(!isListOpen)}>
          Conversations
        </button>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also with the keyboard */}
        <div class="log" ref={log} role="log" aria-label="Messages" aria-live="off" tabIndex={0}>
          {messages.length === 0 && <Welcome />}
          {messages.map((node, i) => (
            <MessageView key={node.id} node={node} isLast={i === messages.length - 1} />
          ))}
          <LiveMessage />
        </div>
        <Composer />
      </section>
    </div>
  );
}

function Welcome() {
  return (
    <div class="welcome">
      <h2>Images in, images out</h2>
      <p>
        Drop an image here and ask “What is this?”, or ask for one: “Draw two red circles”. kelix-nano is small: it
        knows emoji and coloured shapes, in short sentences.
      </p>
    </div>
  );
}
