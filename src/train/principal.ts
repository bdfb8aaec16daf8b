// The feature directions that predict the targets best: principal components of a regression's predictions,
// found in feature space, and their division among codebooks.

/** Eigenvalues, largest first, and eigenvectors as rows [n, n] of a symmetric matrix [n, n], by Jacobi's rotations. */
export function eigenSymmetric(matrix: Float64Array, n: number): { values: Float64Array; vectors: Float64Array } {
  const a = Float64Array.from(matrix);
  const v = new Float64Array(n * n); // rows
  for (let i = 0; i < n; i++) v[i * n + i] = 1;
  for (let sweep = 0; sweep < MAX_SWEEPS; sweep++) {
    let [off, all] = [0, 0];
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        all += a[i * n + j]! ** 2;
        if (i !== j) off += a[i * n + j]! ** 2;
      }
    }
    if (off <= 1e-20 * all) break;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, v, n, p, q);
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[j * n + j]! - a[i * n + i]!);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => {
    vectors.set(v.subarray(from * n, (from + 1) * n), to * n);
  });
  return { values: Float64Array.from(order, (i) => a[i * n + i]!), vectors };
}

const MAX_SWEEPS = 30;

/** Makes a[p, q] zero. */
function rotate(a: Float64Array, v: Float64Array, n: number, p: number, q: number): void {
  const apq = a[p * n + q]!;
  if (apq === 0) return;
  const theta = (a[q * n + q]! - a[p * n + p]!) / (2 * apq);
  const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (let k = 0; k < n; k++) {
    const [kp, kq] = [a[k * n + p]!, a[k * n + q]!];
    a[k * n + p] = c * kp - s * kq;
    a[k * n + q] = s * kp + c * kq;
  }
  for (let k = 0; k < n; k++) {
    const [pk, qk] = [a[p * n + k]!, a[q * n + k]!];
    a[p * n + k] = c * pk - s * qk;
    a[q * n + k] = s * pk + c * qk;
    const [vp, vq] = [v[p * n + k]!, v[q * n + k]!];
    v[p * n + k] = c * vp - s * vq;
    v[q * n + k] = s * vp + c * vq;
  }
}

/** Lower triangular L [n, n] with L Lᵀ = a, for a positive definite a. */
export function choleskyFactor(a: Float64Array, n: number): Float64Array {
  const factor = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = a[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= factor[i * n + k]! * factor[j * n + k]!;
      factor[i * n + j] = i === j ? Math.sqrt(Math.max(sum, 1e-30)) : sum / factor[j * n + j]!;
    }
  }
  return factor;
}

export interface PredictiveComponents {
  /** [count, n]: component = row · (features - mean). */
  readonly rows: Float64Array;
  /** Variance of each component. */
  readonly variances: Float64Array;
}

/**
 * The `count` principal components of a linear map's predictions. `covariance` [n, n] of the features; `weights` [n, outputs] of the
 * map, each output scaled by its importance.
 */
export function predictiveComponents(
  covariance: Float64Array,
  weights: Float32Array | Float64Array,
  n: number,
  outputs: number,
  count: number,
): PredictiveComponents {
  const L = choleskyFactor(covariance, n);
  // LᵀW [n, outputs], then its product with itself [n, n]: the predictions' covariance in whitened feature space.
  const seen = new Float64Array(n * outputs);
  for (let k = 0; k < n; k++) {
    for (let i = 0; i <= k; i++) {
      const l = L[k * n + i]!;
      for (let o = 0; o < outputs; o++) seen[i * outputs + o]! += l * weights[k * outputs + o]!;
    }
  }
  const b = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) {
      let sum = 0;
      for (let o = 0; o < outputs; o++) sum += seen[i * outputs + o]! * seen[j * outputs + o]!;
      b[i * n + j] = sum;
      b[j * n + i] = sum;
    }
  }
  const { values, vectors } = eigenSymmetric(b, n);
  const rows = new Float64Array(count * n);
  const variances = new Float64Array(count);
  variances.set(values.subarray(0, count));
  for (let k = 0; k < Math.min(count, n); k++) {
    // row = √λ L⁻ᵀ v
    const row = rows.subarray(k * n, (k + 1) * n);
    for (let i = n - 1; i >= 0; i--) {
      let sum = vectors[k * n + i]!;
      for (let j = i + 1; j < n; j++) sum -= L[j * n + i]! * row[j]!;
      row[i] = sum / L[i * n + i]!;
    }
    const scale = Math.sqrt(Math.max(values[k]!, 0));
    for (let i = 0; i < n; i++) row[i]! *= scale;
  }
  return { rows, variances };
}

/**
 * Divides components among groups of equal size so that the products of their variances are similar, which minimizes the total loss
 * of codebooks of equal size (Ge et al., optimized product quantization, 2013). Returns the components of each group.
 */
export function balanceGroups(variances: Float64Array, groups: number): number[][] {
  const size = variances.length / groups;
  if (!Number.isInteger(size)) throw new Error(`${variances.length} components do not divide into ${groups} groups`);
  const members = Array.from({ length: groups }, () => [] as number[]);
  const logs = new Float64Array(groups);
  const order = Array.from(variances, (_, i) => i).sort((i, j) => variances[j]! - variances[i]!);
  for (const component of order) {
    const open = members.map((_, g) => g).filter((g) => members[g]!.length < size);
    // Groups with fewer members come first; equal ones are ordered by their product so far.
    const least = open.reduce((a, b) =>
      members[a]!.length < members[b]!.length || (members[a]!.length === members[b]!.length && logs[a]! <= logs[b]!)
        ? a
        : b,
    );
    members[least]!.push(component);
    logs[least]! += Math.log(Math.max(variances[component]!, 1e-12));
  }
  return members;
}
