import bytes from 'bytes'
import ms from 'ms'

/** `128 MB`, in units of 1,024. */
export function humanBytes(count: number): string {
  return bytes.format(count, { unitSeparator: ' ', decimalPlaces: 1 }) ?? `${count} B`
}

/** `1,234,567` */
export function humanCount(count: number): string {
  return count.toLocaleString('en-US')
}

/** `1 row`, `2,000 rows`. */
export function counted(count: number, noun: string): string {
  return `${humanCount(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** `85 ms`, `1.2 s`, `3 min 20 s`. */
export function humanElapsed(elapsedMs: number): string {
  if (elapsedMs < 1_000) return `${Math.round(elapsedMs)} ms`
  if (elapsedMs < 59_950) return `${(elapsedMs / 1_000).toFixed(1)} s`
  const seconds = Math.round(elapsedMs / 1_000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/** `3 minutes ago` */
export function humanAgo(atMs: number, nowMs: number): string {
  const passed = nowMs - atMs
  return passed < 1_000 ? 'just now' : `${ms(passed, { long: true })} ago`
}
