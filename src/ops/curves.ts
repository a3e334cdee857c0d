/**
 * Places on space-filling curves, as SQL over whole numbers of so many bits.
 *
 * @see John Skilling, Programming the Hilbert curve, AIP Conference Proceedings 707 (2004)
 */

/** The bits of columns as one number, the highest bit of the first column first. */
export function interleaved(columns: readonly string[], bits: number): string {
  const terms = Array.from({ length: bits }, (_, bit) =>
    columns.map((column, nth) => `(((${column} >> ${bit}) & 1) << ${bit * columns.length + (columns.length - 1 - nth)})`),
  )
  return terms.flat().join(' | ')
}

/**
 * The query with other numbers in these columns: their bits, interleaved, are a row's place on the Hilbert curve. Each step
 * is a projection of its own, as it needs the numbers of the one before.
 */
export function hilbertAxes(query: string, columns: readonly string[], bits: number): string {
  const first = columns[0] ?? ''
  let text = query
  const step = (values: readonly (readonly [column: string, value: string])[]) => {
    text = `SELECT * REPLACE (${values.map(([column, value]) => `${value} AS ${column}`).join(', ')}) FROM (${text})`
  }
  for (let bit = bits - 1; bit > 0; bit--)
    for (const column of columns) {
      const low = 2 ** bit - 1
      const isSet = `(${column} & ${2 ** bit}) <> 0`
      const swapped = `(xor(${first}, ${column}) & ${low})`
      if (column === first) step([[first, `CASE WHEN ${isSet} THEN xor(${first}, ${low}) ELSE ${first} END`]])
      else
        step([
          [first, `CASE WHEN ${isSet} THEN xor(${first}, ${low}) ELSE xor(${first}, ${swapped}) END`],
          [column, `CASE WHEN ${isSet} THEN ${column} ELSE xor(${column}, ${swapped}) END`],
        ])
    }
  const xorOf = (values: readonly string[]) => values.reduce((all, value) => `xor(${all}, ${value})`)
  step(columns.map((column, at) => [column, xorOf(columns.slice(0, at + 1))]))
  const last = columns.at(-1) ?? ''
  const turns = Array.from(
    { length: bits - 1 },
    (_, at) => `CASE WHEN (${last} & ${2 ** (at + 1)}) <> 0 THEN ${2 ** (at + 1) - 1} ELSE 0 END`,
  )
  if (turns.length > 0) step(columns.map((column) => [column, xorOf([column, ...turns])]))
  return text
}
