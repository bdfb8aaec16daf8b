// The frame of the page: views, the switch between browser and server, notices, settings.

import { useEffect, useState } from "preact/hooks";
import { live, stop } from "../chat/answering.ts";
import { ChatView } from "../chat/chat-view.tsx";
import { CodesView } from "../codes/codes-view.tsx";
import { stopRewriting } from "../codes/rewrite-panel.tsx";
import { stopLooking } from "../codes/word-panel.tsx";
import { isDrawing, stopDrawing } from "../imagine/drawing.ts";
import { ImagineView } from "../imagine/imagine-view.tsx";
import { ModelStatus } from "./model-status.tsx";
import { announcement, limitsHere, notice } from "./notices.ts";
import { SettingsDialog } from "./settings-dialog.tsx";
import { isDark, turnTheme } from "./theme.ts";
import { type View, view, views } from "./views.ts";

const titles: Readonly<Record<View, string>> = { chat: "Chat", imagine: "Imagine", codes: "Codes" };

export function App() {
  const [hasSettings, setSettings] = useState(false);
  useEffect(() => {
    const onKeyDown = ({ key }: KeyboardEvent) => {
      if (key === "Escape") stopAll();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to the content
      </button>
      <header>
        <h1>Kelix</h1>
        <nav aria-label="Views" class="views">
          {views.map((own) => (
            <a key={own} href={`#${own}`} aria-current={view.value === own ? "page" : undefined}>
              {titles[own]}
            </a>
          ))}
        </nav>
        <ModelStatus />
        <button type="button" class="quiet" onClick={turnTheme}>
          {isDark.value ? "Light" : "Dark"}
        </button>
        <button type="button" class="quiet" onClick={() => setSettings(true)}>
          Settings
        </button>
      </header>
      <Notices />
      <main id="main" tabIndex={-1}>
        {view.value === "chat" && <ChatView />}
        {view.value === "imagine" && <ImagineView />}
        {view.value === "codes" && <CodesView />}
      </main>
      <p class="unseen" role="status" aria-live="polite">
        {announcement.value}
      </p>
      {hasSettings && <SettingsDialog close={() => setSettings(false)} />}
    </>
  );
}

function stopAll(): void {
  if (live.value) stop();
  if (isDrawing.value) stopDrawing();
  stopLooking();
  stopRewriting();
}

function Notices() {
  const [closed, setClosed] = useState(false);
  const limits = closed ? [] : limitsHere();
  return (
    <>
      {limits.map((sentence) => (
        <Notice key={sentence} sentence={sentence} close={() => setClosed(true)} />
      ))}
      {/* Always there, so that what comes into it is read aloud. */}
      <div role="alert">
        {notice.value && (
          <Notice
            sentence={notice.value}
            close={() => {
              notice.value = undefined;
            }}
          />
        )}
      </div>
    </>
  );
}

function Notice({ sentence, close }: { readonly sentence: string; readonly close: () => void }) {
  return (
    <div class="notice">
      <p>{sentence}</p>
      <button type="button" class="quiet" aria-label="Close this message" onClick={close}>
        ×
      </button>
    </div>
  );
}
