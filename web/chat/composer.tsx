// Where a message is written: text, and images that are dropped, pasted, chosen or taken.

import { signal } from "@preact/signals";
import { useRef, useState } from "preact/hooks";
import { BlobImage } from "../app/blob-image.tsx";
import { accepted, filesOf, imagesAmong } from "../app/image-files.ts";
import { complain, notice } from "../app/notices.ts";
import type { PageImage } from "../backend/backend.ts";
import { live, say, stop } from "./answering.ts";
import { Camera, hasCamera } from "./camera.tsx";

/** Images of the message that is being written. */
const images = signal<readonly PageImage[]>([]);

export function addFiles(files: Iterable<File>): void {
  try {
    images.value = [...images.value, ...imagesAmong(files)];
  } catch (error) {
    complain(error);
  }
}

export function Composer() {
  const [text, setText] = useState("");
  const [isCameraOpen, setCameraOpen] = useState(false);
  const file = useRef<HTMLInputElement>(null);
  const isBusy = live.value !== undefined;
  const canSend = text.trim() !== "" || images.value.length > 0;
  const send = (event?: Event) => {
    event?.preventDefault();
    if (isBusy || !canSend) return;
    const own = images.value;
    images.value = [];
    setText("");
    void say(text.trim(), own);
  };
  const openCamera = () => {
    if (hasCamera()) setCameraOpen(true);
    else
      notice.value =
        "The browser gives no camera to a page over plain http: open it over https or on localhost, or choose a file.";
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  };
  const onPaste = (event: ClipboardEvent) => {
    const files = filesOf(event.clipboardData);
    if (!files) return;
    event.preventDefault();
    addFiles(files);
  };
  return (
    <form class="composer" onSubmit={send}>
      {images.value.length > 0 && (
        <ul class="given" aria-label="Images of your message">
          {images.value.map((image, i) => (
            <li key={i}>
              <BlobImage blob={image.blob} alt={`Image ${i + 1}`} class="thumb" />
              <button
                type="button"
                class="remove"
                aria-label={`Remove image ${i + 1}`}
                onClick={() => {
                  images.value = images.value.filter((own) => own !== image);
                }}
              >
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
      <textarea
        id="message"
        aria-label="Message"
        placeholder="Ask about an image, or ask for one…"
        rows={2}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        onPaste={onPaste}
      />
      <div class="row">
        <button type="button" onClick={() => file.current?.click()}>
          Add image
        </button>
        <button type="button" onClick={openCamera}>
          Camera
        </button>
        <span class="space" />
        {isBusy ? (
          <button type="button" class="primary" onClick={stop}>
            Stop
          </button>
        ) : (
          <button type="submit" class="primary" disabled={!canSend}>
            Send
          </button>
        )}
      </div>
      <input
        ref={file}
        type="file"
        accept={accepted}
        multiple
        hidden
        aria-label="Image files"
        onChange={({ currentTarget }) => {
          addFiles(currentTarget.files ?? []);
          currentTarget.value = "";
        }}
      />
      {isCameraOpen && (
        <Camera
          close={() => setCameraOpen(false)}
          onPhoto={(blob) => {
            images.value = [...images.value, { blob }];
          }}
        />
      )}
    </form>
  );
}
