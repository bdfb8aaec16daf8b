// Dimensions of symbolic tensors: a number, or a named size that is known only when the graph runs.
// A named size may stand in a linear form with whole coefficients: "T", "4*M", "C+T". Such strings are kept canonical
// (sorted, no spaces), so two dimensions are equal exactly when they are `===`.

export type Dim = number | string;
export type Shape = readonly Dim[];

interface LinearForm {
  readonly constant: number;
  readonly terms: ReadonlyMap<string, number>;
}

function parse(dim: Dim): LinearForm {
  if (typeof dim === "number") return { constant: dim, terms: new Map() };
  let constant = 0;
  const terms = new Map<string, number>();
  for (const part of dim.split("+")) {
    const match = /^(?:(\d+)\*)?([A-Za-z_]\w*)$/.exec(part);
    if (match) {
      const name = match[2] as string;
      terms.set(name, (terms.get(name) ?? 0) + Number(match[1] ?? 1));
    } else if (/^\d+$/.test(part)) constant += Number(part);
    else throw new Error(`"${dim}" is no dimension: expected a form such as "T", "4*M" or "C+T"`);
  }
  return { constant, terms };
}

function format({ constant, terms }: LinearForm): Dim {
  const parts = [...terms.entries()]
    .filter(([, factor]) => factor !== 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, factor]) => (factor === 1 ? name : `${factor}*${name}`));
  if (parts.length === 0) return constant;
  return constant === 0 ? parts.join("+") : `${parts.join("+")}+${constant}`;
}

/** Sum of dimensions: addDims("C", "T") is "C+T". */
export function addDims(...dims: Dim[]): Dim {
  let constant = 0;
  const terms = new Map<string, number>();
  for (const dim of dims) {
    const form = parse(dim);
    constant += form.constant;
    for (const [name, factor] of form.terms) terms.set(name, (terms.get(name) ?? 0) + factor);
  }
  return format({ constant, terms });
}

/** A dimension taken `factor` times: mulDims("M", 4) is "4*M". */
export function mulDims(dim: Dim, factor: number): Dim {
  const form = parse(dim);
  return format({
    constant: form.constant * factor,
    terms: new Map([...form.terms].map(([name, n]) => [name, n * factor])),
  });
}

/** The number of elements as a product: whole factor times named sizes (each with its common factor taken out). */
export function factorize(shape: Shape): { factor: number; symbols: string[] } {
  let factor = 1;
  const symbols: string[] = [];
  for (const dim of shape) {
    if (typeof dim === "number") {
      factor *= dim;
      continue;
    }
    const form = parse(dim);
    const common = [...form.terms.values(), ...(form.constant === 0 ? [] : [form.constant])].reduce(gcd);
    factor *= common;
    symbols.push(
      String(
        format({
          constant: form.constant / common,
          terms: new Map([...form.terms].map(([name, n]) => [name, n / common])),
        }),
      ),
    );
  }
  return { factor, symbols: symbols.sort() };
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** "[1,T,256]", for messages. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(",")}]`;
}

/** All sizes as numbers; throws when one is dynamic. */
export function staticShape(shape: Shape): number[] {
  return shape.map((dim) => {
    if (typeof dim !== "number")
      throw new Error(`${formatShape(shape)} has the dynamic size ${dim} where a fixed one is needed`);
    return dim;
  });
}

/** Lengths of named sizes. */
export type Sizes = Readonly<Record<string, number>>;

/** All sizes as numbers, named ones as `sizes` gives them; throws when it lacks one. */
export function sizesOf(shape: Shape, sizes: Sizes): number[] {
  return shape.map((dim) => {
    if (typeof dim === "number") return dim;
    const { constant, terms } = parse(dim);
    let size = constant;
    for (const [name, factor] of terms) {
      const length = sizes[name];
      if (length === undefined)
        throw new Error(`${formatShape(shape)} has the size ${name}, whose length is not given`);
      size += factor * length;
    }
    return size;
  });
}

/** The shape of two tensors combined elementwise (numpy broadcasting), or undefined when they do not fit. */
export function broadcastShapes(a: Shape, b: Shape): Dim[] | undefined {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    out.push(x === 1 ? y : x);
  }
  return out;
}

/** Fills in a -1 and checks that the number of elements stays the same; undefined when it cannot. */
export function resolveReshape(from: Shape, to: readonly Dim[]): Dim[] | undefined {
  const open = to.indexOf(-1);
  const source = factorize(from);
  const known = factorize(to.filter((_, i) => i !== open));
  const left = [...source.symbols];
  for (const symbol of known.symbols) {
    const at = left.indexOf(symbol);
    if (at < 0) return undefined;
    left.splice(at, 1);
  }
  if (open < 0) return left.length === 0 && source.factor === known.factor ? [...to] : undefined;
  const ratio = source.factor / known.factor;
  if (!Number.isInteger(ratio) || left.length > 1 || to.indexOf(-1, open + 1) >= 0) return undefined;
  const out = [...to];
  out[open] = left.length === 0 ? ratio : mulDims(left[0] as string, ratio);
  return out;
}

/** Named sizes of a reshape's result that are elsewhere in its source, or not there: ONNX infers one of them and copies the others. */
export function movedSizes(from: Shape, to: Shape): Dim[] {
  return to.filter((dim, i) => typeof dim === "string" && dim !== from[i]);
}
