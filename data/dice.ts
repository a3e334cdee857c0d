/** Seeded dice for the generators: the same seed gives the same data on every machine. */
export interface Dice {
  /** A number in [0, 1). */
  next(): number
  /** A whole number in [0, endExclusive). */
  below(endExclusive: number): number
  /** One of `choices`, each as likely as the others; `choices` is not empty. */
  pick<T>(choices: readonly T[]): T
}

/** mulberry32: small, quick, good enough to shape data. */
export function dice(seed: number): Dice {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (endExclusive: number): number => Math.floor(next() * endExclusive)
  return { next, below, pick: <T>(choices: readonly T[]) => choices[below(choices.length)] as T }
}

/**
 * Ranks in [0, count) whose frequency falls as 1 / (rank + 1)^exponent: few pages get most views.
 *
 * @returns a function from a number in [0, 1) to a rank.
 */
export function zipf(count: number, exponent: number): (roll: number) => number {
  const cumulative = new Float64Array(count)
  let total = 0
  for (let rank = 0; rank < count; rank++) {
    total += (rank + 1) ** -exponent
    cumulative[rank] = total
  }
  return (roll) => {
    const wanted = roll * total
    let low = 0
    let high = count - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((cumulative[middle] as number) > wanted) high = middle
      else low = middle + 1
    }
    return low
  }
}
