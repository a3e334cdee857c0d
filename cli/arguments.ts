import { InvalidArgumentError } from 'commander'
import { parseSize } from '../src/index.js'
import { UsageError } from './errors.js'
import { wholeNumber } from './settings.js'

/** A parser of one flag's words, as commander wants it: its complaint names the flag. */
export function argument<T>(flag: string, parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text)
    } catch (error) {
      if (error instanceof UsageError) throw new InvalidArgumentError(`${flag} ${error.message}`)
      throw error
    }
  }
}

export const fromZero = wholeNumber(0, Number.MAX_SAFE_INTEGER)
export const fromOne = wholeNumber(1, Number.MAX_SAFE_INTEGER)

/** `128MB`, in bytes; at least 1. */
export function positiveSize(text: string): number {
  const bytes = parseSize(text)
  if (bytes === undefined || bytes < 1) throw new UsageError(`is no size: ${text} (write 128MB)`)
  return bytes
}

/** `0.5`, in seconds; at least 0. */
export function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0 && value <= 86_400)) throw new UsageError(`is no number of seconds: ${text}`)
  return value
}

/** `a, b,c` as names. */
export function nameList(text: string): string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

/** For a flag that may be repeated. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text]
}

/** An SQL identifier, whatever its characters. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
