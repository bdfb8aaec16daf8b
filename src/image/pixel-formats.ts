// Pixels as codecs hand them out -> RGB bytes, as Pillow converts them: the models were trained on images that it had read.

/** CMYK -> RGB by Pillow's formula, without colour profiles. [P, 4] -> [P, 3] */
export function cmykToRgb(cmyk: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / 4) * 3);
  for (let from = 0, to = 0; from < cmyk.length; from += 4) {
    const light = 255 - cmyk[from + 3]!;
    for (let channel = 0; channel < 3; channel++) rgb[to++] = light - divide255(cmyk[from + channel]! * light);
  }
  return rgb;
}

/** t / 255 with Pillow's rounding, for t up to 255 * 255. */
export function divide255(t: number): number {
  return (t + 128 + ((t + 128) >> 8)) >> 8;
}

/** 16-bit grey (and alpha) -> 8 bits. Pillow cuts grey off at 255 instead of scaling it; alpha is scaled. */
export function clipGrey16(grey: Uint16Array, channels: number): Uint8Array {
  return Uint8Array.from(grey, (value, i) => (i % channels === 0 ? Math.min(value, 255) : value >> 8));
}

/** Grey (and alpha) -> RGB (and alpha). */
export function spreadGrey(grey: Uint8Array, channels: number): Uint8Array {
  const rgb = new Uint8Array((grey.length / channels) * (channels + 2));
  for (let from = 0, to = 0; from < grey.length; from += channels) {
    for (let channel = 0; channel < 3; channel++) rgb[to++] = grey[from]!;
    if (channels === 2) rgb[to++] = grey[from + 1]!;
  }
  return rgb;
}
