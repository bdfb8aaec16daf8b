// A photograph by the device's camera.

import { useEffect, useRef, useState } from "preact/hooks";
import { complain } from "../app/notices.ts";

interface Props {
  readonly onPhoto: (photo: Blob) => void;
  readonly close: () => void;
}

/** Whether the browser gives a camera to this page at all. */
export const hasCamera = (): boolean => navigator.mediaDevices !== undefined;

export function Camera({ onPhoto, close }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const [isReady, setReady] = useState(false);
  useEffect(() => {
    let stream: MediaStream | undefined;
    let isOpen = true;
    dialog.current?.showModal();
    const start = async () => {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      if (!isOpen) return end();
      video.current!.srcObject = stream;
      await video.current!.play();
      setReady(true);
    };
    const end = () => {
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
    start().catch((error: Error) => {
      if (!isOpen) return;
      complain(new Error(sentences[error.name] ?? `The camera cannot be used: ${error.message}`));
      close();
    });
    return () => {
      isOpen = false;
      end();
    };
  }, []);
  const shoot = async () => {
    const { videoWidth, videoHeight } = video.current!;
    const canvas = new OffscreenCanvas(videoWidth, videoHeight);
    canvas.getContext("2d")!.drawImage(video.current!, 0, 0);
    onPhoto(await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 }));
    close();
  };
  return (
    <dialog ref={dialog} class="camera" aria-label="Camera" onClose={close}>
      <video ref={video} playsInline muted />
      <div class="row">
        <button type="button" class="primary" disabled={!isReady} onClick={() => void shoot()}>
          Take the photo
        </button>
        <button type="button" onClick={close}>
          Cancel
        </button>
      </div>
    </dialog>
  );
}

const sentences: Readonly<Record<string, string>> = {
  NotAllowedError: "The camera was not allowed: allow it in the browser's settings for this page, or choose a file.",
  NotFoundError: "This device has no camera: choose a file instead.",
  NotReadableError: "Another program is using the camera: close it and try again.",
};
