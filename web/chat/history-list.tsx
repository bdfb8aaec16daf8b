// Earlier conversations: search, open, delete, export, import.

import { useRef, useState } from "preact/hooks";
import { download } from "../app/blob-image.tsx";
import { complain, notice } from "../app/notices.ts";
import { conversations, current, keep, openConversation, removeConversation, startNew } from "./answering.ts";
import type { Conversation } from "./conversation.ts";
import { exportFile, importFile, search } from "./history.ts";

export function HistoryList({ close }: { readonly close: () => void }) {
  const [wanted, setWanted] = useState("");
  const file = useRef<HTMLInputElement>(null);
  const found = search(conversations.value, wanted);
  const open = (conversation?: Conversation) => {
    if (conversation) openConversation(conversation);
    else startNew();
    close();
  };
  return (
    <nav class="history" aria-label="Conversations">
      <button type="button" class="primary" onClick={() => open()}>
        New conversation
      </button>
      <input
        type="search"
        aria-label="Search conversations"
        placeholder="Search"
        value={wanted}
        onInput={(event) => setWanted(event.currentTarget.value)}
      />
      <ul>
        {found.map((conversation) => (
          <li key={conversation.id}>
            <button
              type="button"
              class="quiet entry"
              aria-current={conversation.id === current.value.id ? "true" : undefined}
              onClick={() => open(conversation)}
            >
              {conversation.title}
            </button>
            <button
              type="button"
              class="quiet"
              aria-label={`Delete: ${conversation.title}`}
              onClick={() => void removeConversation(conversation)}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
      {found.length === 0 && (
        <p class="hint">{wanted ? "Nothing says that." : "Conversations stay in this browser."}</p>
      )}
      <div class="row">
        <button
          type="button"
          class="quiet"
          disabled={conversations.value.length === 0}
          onClick={() =>
            void exportFile(conversations.value).then((blob) => download(blob, "kelix-conversations.json"), complain)
          }
        >
          Export
        </button>
        <button type="button" class="quiet" onClick={() => file.current?.click()}>
          Import
        </button>
      </div>
      <input
        ref={file}
        type="file"
        accept="application/json,.json"
        hidden
        aria-label="File of conversations"
        onChange={({ currentTarget }) => {
          const [own] = currentTarget.files ?? [];
          if (own) void importAll(own);
          currentTarget.value = "";
        }}
      />
    </nav>
  );
}

async function importAll(file: Blob): Promise<void> {
  try {
    const read = await importFile(file);
    for (const conversation of read) await keep(conversation);
    notice.value = `Imported ${read.length} conversation${read.length === 1 ? "" : "s"}.`;
  } catch (error) {
    complain(error);
  }
}
