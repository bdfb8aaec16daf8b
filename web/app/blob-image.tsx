// An image of a blob, whose address lives as long as it is shown.

import { useEffect, useMemo } from "preact/hooks";

export function useBlobUrl(blob: Blob): string {
  const url = useMemo(() => URL.createObjectURL(blob), [blob]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return url;
}

interface Props {
  readonly blob: Blob;
  readonly alt: string;
  readonly class?: string;
}

export function BlobImage({ blob, alt, class: name }: Props) {
  return <img src={useBlobUrl(blob)} alt={alt} class={name} />;
}

/** Hands a file to the user. */
export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
