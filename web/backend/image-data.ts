// Images as texts and back, and masks as images: what a server's routes take and give.

/** A blob as a data: URL. */
export async function dataUrl(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return `data:${blob.type || "image/png"};base64,${btoa(text)}`;
}

export function base64Blob(text: string, type = "image/png"): Blob {
  return new Blob([Uint8Array.from(atob(text), (character) => character.charCodeAt(0))], { type });
}

/** A mask of positions as a PNG of one pixel each, white where to rewrite. */
export async function maskPng(mask: readonly boolean[], [rows, columns]: readonly [number, number]): Promise<Blob> {
  const pixels = new ImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) pixels.data.set(mask[i] ? [255, 255, 255, 255] : [0, 0, 0, 255], 4 * i);
  const canvas = new OffscreenCanvas(columns, rows);
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas.convertToBlob();
}
