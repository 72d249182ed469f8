/** Quantiles of a few numbers without sorting them all. */

/**
 * The φ-quantile of the first `n` elements, NaN counted as smallest. Reorders `a`.
 *
 * Linear interpolation between the two neighbouring ranks.
 */
export function quantileOf(a: Float64Array, n: number, phi: number): number {
  if (n === 0 || phi !== phi) return NaN;
  if (phi < 0) return -Infinity;
  if (phi > 1) return Infinity;
  const rank = phi * (n - 1);
  const floor = Math.floor(rank);
  const low = Math.max(0, floor);
  const high = Math.min(n - 1, low + 1);
  const weight = rank - floor;
  // NaN first, then the rest by selection.
  let nans = 0;
  for (let i = 0; i < n; i++) {
    const x = a[i]!;
    if (x !== x) {
      a[i] = a[nans]!;
      a[nans++] = x;
    }
  }
  if (low >= nans) selectKth(a, nans, n - 1, low);
  const x = a[low]!;
  let y = x;
  if (high !== low) {
    if (high < nans) y = NaN;
    else {
      // The next rank is the least of what stands right of `low`.
      y = a[high]!;
      for (let i = high + 1; i < n; i++) if (a[i]! < y) y = a[i]!;
    }
  }
  return x * (1 - weight) + y * weight;
}

/** The φ-quantile of `n` numbers of which the first `nans` are NaN and the others stand sorted in `a`. */
export function quantileOfSorted(
  a: Float64Array,
  nans: number,
  n: number,
  phi: number,
): number {
  if (n === 0 || phi !== phi) return NaN;
  if (phi < 0) return -Infinity;
  if (phi > 1) return Infinity;
  const rank = phi * (n - 1);
  const floor = Math.floor(rank);
  const low = Math.max(0, floor);
  const high = Math.min(n - 1, low + 1);
  const weight = rank - floor;
  const x = low < nans ? NaN : a[low - nans]!;
  const y = high < nans ? NaN : a[high - nans]!;
  return x * (1 - weight) + y * weight;
}

/** Moves the element of rank `k` to place k; smaller ones stand left of it. No NaN inside. */
function selectKth(a: Float64Array, from: number, to: number, k: number): void {
  let left = from;
  let right = to;
  while (right > left) {
    if (right - left < 12) {
      insertionSort(a, left, right);
      return;
    }
    const middle = (left + right) >> 1;
    let p = a[left]!, q = a[middle]!, r = a[right]!;
    if (p > q) [p, q] = [q, p];
    if (q > r) [q, r] = [r, q];
    const pivot = p > q ? p : q;
    let i = left;
    let j = right;
    while (i <= j) {
      while (a[i]! < pivot) i++;
      while (a[j]! > pivot) j--;
      if (i <= j) {
        const x = a[i]!;
        a[i] = a[j]!;
        a[j] = x;
        i++;
        j--;
      }
    }
    if (k <= j) right = j;
    else if (k >= i) left = i;
    else return;
  }
}

function insertionSort(a: Float64Array, left: number, right: number): void {
  for (let i = left + 1; i <= right; i++) {
    const x = a[i]!;
    let j = i - 1;
    while (j >= left && a[j]! > x) {
      a[j + 1] = a[j]!;
      j--;
    }
    a[j + 1] = x;
  }
}
