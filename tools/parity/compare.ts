// Compares computed tensors with the reference's, element by element.

import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import type { Tolerance } from "./case.ts";

export interface Comparison {
  readonly name: string;
  /** Largest |computed - reference|; infinite where they cannot be compared. */
  readonly deviation: number;
  readonly limit: number;
  readonly ok: boolean;
  /** Why they cannot be compared. */
  readonly problem?: string;
}

/** One comparison for each reference tensor that its case does not ignore, by name. */
export function compareAll(
  computed: ReadonlyMap<string, HostTensor>,
  references: ReadonlyMap<string, HostTensor>,
  tolerance: (name: string) => Tolerance,
): Comparison[] {
  return [...references.keys()]
    .filter((name) => !tolerance(name).ignored)
    .sort()
    .map((name) => compareTensor(name, computed.get(name), references.get(name)!, tolerance(name)));
}

/** Shapes, NaN and infinities must agree; integers (and, if asked for, whole parts) must be equal, floats lie within the tolerance. */
export function compareTensor(
  name: string,
  computed: HostTensor | undefined,
  reference: HostTensor,
  tolerance: Tolerance,
): Comparison {
  const exact = tolerance.exact || !isFloat(reference);
  const limit = exact ? 0 : (tolerance.relative ?? 0) * largest(reference) + (tolerance.absolute ?? 0);
  const fail = (problem: string) => ({ name, deviation: Number.POSITIVE_INFINITY, limit, ok: false, problem });
  if (!computed) return fail("not computed");
  if (`${computed.shape}` !== `${reference.shape}` || computed.shape.length !== reference.shape.length) {
    return fail(`shape [${computed.shape}], wanted [${reference.shape}]`);
  }
  if (isFloat(computed) !== isFloat(reference)) return fail(`dtype ${computed.dtype}, wanted ${reference.dtype}`);
  let deviation = 0;
  for (let i = 0; i < reference.data.length; i++) {
    const found = computed.data[i]!;
    const wanted = reference.data[i]!;
    // As they are first: it settles infinities, and 64-bit integers that a number cannot hold.
    if (found === wanted || (Number.isNaN(found) && Number.isNaN(wanted))) continue;
    const difference = Math.abs(Number(found) - Number(wanted));
    const isOtherWhole = tolerance.exactWholes && Math.trunc(Number(found)) !== Math.trunc(Number(wanted));
    if (!Number.isFinite(difference) || isOtherWhole) return fail(`${found} at ${i}, wanted ${wanted}`);
    if (typeof found === "bigint" && typeof wanted === "bigint") deviation = Math.max(deviation, difference, 1);
    else deviation = Math.max(deviation, difference);
  }
  return { name, deviation, limit, ok: deviation <= limit };
}

/** `name  max-deviation  tolerance  ok|FAIL` */
export function formatComparison({ name, deviation, limit, ok, problem }: Comparison): string {
  const found = problem === undefined ? deviation.toExponential(2) : problem;
  return `${name}  ${found}  ${limit.toExponential(2)}  ${ok ? "ok" : "FAIL"}`;
}

function isFloat({ dtype }: HostTensor): boolean {
  return dtype === "f32" || dtype === "f64" || dtype === "bf16" || dtype === "f16";
}

function largest({ data }: HostTensor): number {
  let most = 0;
  for (const value of data) if (Number.isFinite(value)) most = Math.max(most, Math.abs(Number(value)));
  return most;
}
