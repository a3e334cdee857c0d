import { DeltaError } from '../base/errors.js'
import type { Database } from '../engine/database.js'
import { checkAllowed } from './allow-list.js'
import { type AnswerShape, answerShape } from './answer-shape.js'
import { givenNames } from './join-keys.js'
import { type Lookup, lookupOf, masked } from './lookup.js'
import { type AsOfCut, type ChangesRef, readQuery, type TravelRef, unusedPrefix } from './query-text.js'
import { parseQuery, printQuery, type SyntaxNode } from './syntax-tree.js'
import { tokenize } from './tokens.js'

/** A table that a query names. */
export interface TemplateTable {
  /** The name that the rewritten query gives it. */
  readonly standIn: string
  /** The name that the user gave it. */
  readonly name: string
  /** `''`, or `delta` when `name` is a location. */
  readonly schema: string
  readonly travel: TravelRef | undefined
  /** Set where the query asks for what changed in the table. */
  readonly changes: ChangesRef | undefined
  /** Set where the query asks for a view up to a time. */
  readonly asOf: AsOfCut | undefined
}

/** A query that has been parsed and checked, with a stand-in for every table it names. It depends on the text alone. */
export interface QueryTemplate {
  readonly text: string
  /** What the caller calls the parameters `$1`, `$2`, … of `text`. */
  readonly parameters: readonly string[]
  readonly tables: readonly TemplateTable[]
  /** Whether it means something else from one moment to the next: what is concluded from it holds once. */
  readonly asksForTheTime: boolean
  /** Whether the same versions and parameters give the same rows each time. */
  readonly isSteady: boolean
  /** Set where it may be answered from fewer files than hold its rows. */
  readonly shape: AnswerShape | undefined
  /** Set where it is one. */
  readonly lookup: Lookup | undefined
  /** Names that it gives to something; see `givenNames`. */
  readonly givenNames: ReadonlySet<string> | undefined
}

/**
 * Reads a query.
 *
 * @throws {DeltaError} `SQL_INVALID` with the position marked, `SQL_FORBIDDEN`.
 */
export async function readTemplate(planner: Database, text: string): Promise<QueryTemplate> {
  const query = readQuery(text)
  const tree = await parseQuery(planner, query.text)
  const references = checkAllowed(tree)
  const tables = new Map<string, TemplateTable>()
  const prefix = unusedPrefix(text, '__table_')
  let rewritten = false
  for (const reference of references.tables) {
    const travel = query.travels.find((ref) => ref.marker === reference.name)
    const changes = query.changes.find((ref) => ref.marker === reference.name)
    const asOf = query.asOfs.find((ref) => ref.marker === reference.name)
    const cut = travel ?? changes ?? asOf
    const schema = plainSchema(cut ? ((travel ?? changes)?.schema ?? '') : reference.schema)
    const name = cut?.name ?? reference.name
    // With a schema it is the table even where a WITH clause has the name.
    const isPlain = reference.schema === ''
    const key = cut ? cut.marker : JSON.stringify([schema, name.toLowerCase(), isPlain])
    const standIn = tables.get(key)?.standIn ?? cut?.marker ?? (isPlain ? name : `${prefix}${tables.size}`)
    if (!tables.has(key)) tables.set(key, { standIn, name, schema, travel, changes, asOf })
    if (cut || !isPlain) {
      rename(reference.node, standIn, changes ? 'table_changes' : asOf ? 'as_of' : name)
      rewritten = true
    }
  }
  for (const { marker, name } of query.travels)
    if (!tables.has(marker))
      throw new DeltaError(
        'SQL_INVALID',
        'a version or time is asked of something that is no table',
        { name },
        { hint: 'write it right behind the name of the table, before its alias' },
      )
  for (const { marker, name } of query.changes)
    if (!tables.has(marker)) throw new DeltaError('SQL_INVALID', 'table_changes stands where no table can stand', { name })
  const shape = tables.size === 1 ? answerShape(tree) : undefined
  // Of constants in a text that is not the tree's, nobody knows where they stand.
  const isPlain = !shape && references.tables.length === 1 && !rewritten && query.text === text && query.parameters.length === 0
  const mask = isPlain ? masked(text) : undefined
  return {
    text: rewritten ? await printQuery(planner, tree) : query.text,
    parameters: query.parameters,
    tables: [...tables.values()],
    asksForTheTime: names(text, CLOCKS),
    isSteady: isSteady(text),
    shape,
    lookup: mask && lookupOf(tree, mask),
    givenNames: tables.size > 1 ? givenNames(tree) : undefined,
  }
}

/** Whether a query gives the same rows each time, over the same tables. */
export function isSteady(text: string): boolean {
  return !names(text, CLOCKS) && !names(text, DICE)
}

function names(text: string, wanted: readonly string[]): boolean {
  const words = new Set(tokenize(text).flatMap(({ kind, value }) => (NAMING.has(kind) ? [value.toLowerCase()] : [])))
  return wanted.some((word) => words.has(word))
}

const NAMING: ReadonlySet<string> = new Set(['word', 'quoted'])
const CLOCKS = (
  'now today ago age transaction_timestamp get_current_timestamp get_current_time current_date current_time current_timestamp ' +
  'current_localtime current_localtimestamp localtime localtimestamp'
).split(' ')
const DICE = 'random setseed uuid uuidv4 uuidv7 gen_random_uuid sample tablesample'.split(' ')

/** Tables of a lakehouse have no schema; these two names are what other engines call that. */
function plainSchema(schema: string): string {
  const lower = schema.toLowerCase()
  return lower === 'main' || lower === 'default' ? '' : lower
}

/** References keep the name that the query's other parts know the table by. */
function rename(node: SyntaxNode, standIn: string, alias: string): void {
  const target = node as Record<string, unknown>
  target['schema_name'] = ''
  target['table_name'] = standIn
  if (target['alias'] === '') target['alias'] = alias
}
