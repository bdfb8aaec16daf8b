// Codes of the codebooks <-> ids of the joint vocabulary. The text's V entries come first, then book after book:
// id = V + code + floor(i * S / N). With one slice of the table to each book (split_voc = N) no two books share an id.

export interface IdLayout {
  /** V: text ids are 0..V-1, visual ids V..V+S-1. */
  readonly vocabSize: number;
  /** S, the codes of all books together; book i owns V + i*S/N .. V + (i+1)*S/N - 1. */
  readonly codebookSize: number;
  /** N, the number of books. */
  readonly codesPerPatch: number;
}

/** codes [M, N] flat, each in 0 .. S/N-1 -> ids [M, N]. Throws on a code outside its book. */
export function idsFromCodes(codes: ArrayLike<number>, layout: IdLayout): Int32Array {
  const { vocabSize: V, codesPerPatch: N } = layout;
  return mapByBook(codes, layout, (code, i) => {
    const size = bookStart(i + 1, layout) - bookStart(i, layout);
    if (!Number.isInteger(code) || code < 0 || code >= size) {
      throw new RangeError(`Expected a code of book ${i} of ${N} to be an integer from 0 to ${size - 1}, got ${code}`);
    }
    return V + code + bookStart(i, layout);
  });
}

/** ids [M, N] flat -> codes [M, N]. An id outside book i becomes the nearest code of that book: ids may be untrusted. */
export function codesFromIds(ids: ArrayLike<number>, layout: IdLayout): Int32Array {
  return mapByBook(ids, layout, (id, i) => {
    const start = bookStart(i, layout);
    const last = bookStart(i + 1, layout) - 1;
    return Math.min(Math.max(id - layout.vocabSize, start), last) - start;
  });
}

function bookStart(i: number, layout: IdLayout): number {
  return Math.floor((i * layout.codebookSize) / layout.codesPerPatch);
}

function mapByBook(
  values: ArrayLike<number>,
  layout: IdLayout,
  map: (value: number, book: number) => number,
): Int32Array {
  const N = layout.codesPerPatch;
  if (values.length % N !== 0) {
    throw new Error(`Expected a multiple of ${N} values, one for each book, got ${values.length}`);
  }
  return Int32Array.from(values, (value, at) => map(value, at % N));
}
