import type { Lakehouse } from '../../src/index.js'
import { quoteName } from '../arguments.js'
import { DOT_COMMANDS } from './dot-commands.js'

/** Whose columns are asked for at a time. */
const TABLES_MAX = 8

/**
 * What the word before the cursor may become: a command, a table, or a column of the tables that the statement names so far; of all
 * tables when it names none yet and they are few.
 *
 * @param typed the lines of the statement before this one.
 * @param line this one, up to the cursor.
 * @returns the candidates, and the word that they complete.
 */
export async function complete(lake: Lakehouse, typed: string, line: string): Promise<[string[], string]> {
  const word = /[\w.\\+]*$/.exec(line)?.[0] ?? ''
  const isCommand = typed === '' && /^[.\\]/.test(line)
  if (isCommand && !/\s/.test(line)) return [beginning([...DOT_COMMANDS], word), word]
  const tables = (await lake.tables()).map(({ name }) => name)
  if (isCommand) return [beginning(tables, word), word]
  if (word === '') return [[], word]
  const text = `${typed}\n${line}`
  const named = tables.filter((name) => mentions(text, escaped(name)))
  const [prefix = '', ...rest] = word.split('.')
  if (rest.length > 0) {
    const table = named.find((name) => name.toLowerCase() === prefix.toLowerCase() || isAlias(text, name, prefix))
    const columns = table === undefined ? [] : await columnsOf(lake, table)
    return [
      beginning(
        columns.map((column) => `${prefix}.${column}`),
        word,
      ),
      word,
    ]
  }
  const asked = named.length > 0 ? named : tables
  const columns = asked.length > TABLES_MAX ? [] : (await Promise.all(asked.map((name) => columnsOf(lake, name)))).flat()
  return [beginning([...new Set([...columns, ...tables])], word), word]
}

async function columnsOf(lake: Lakehouse, table: string): Promise<readonly string[]> {
  const { schema } = await lake.table(table).snapshot()
  return schema.fields.map(({ name }) => (/^[A-Za-z_]\w*$/.test(name) ? name : quoteName(name)))
}

function beginning(names: readonly string[], word: string): string[] {
  return names.filter((name) => name.toLowerCase().startsWith(word.toLowerCase()))
}

function mentions(text: string, pattern: string): boolean {
  return new RegExp(`(?<![\\w.])${pattern}(?!\\w)`, 'i').test(text)
}

function isAlias(text: string, table: string, alias: string): boolean {
  return mentions(text, `${escaped(table)}"?\\s+(?:as\\s+)?${escaped(alias)}`)
}

function escaped(name: string): string {
  return name.replace(/[^\w]/g, '\\$&')
}
