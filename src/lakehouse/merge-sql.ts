import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { identityColumns } from '../protocol/identity.js'
import { mentions, type StructField, type StructType } from '../protocol/schema.js'
import type { Merge, MergeClause } from '../sql/statements/merge.js'
import { tokenize } from '../sql/tokens.js'
import { generationOf } from '../table/row-rules.js'
import { type Assignment, assignmentsOf } from './assignments.js'
import { oneCondition } from './table-snapshot.js'

/** A clause of MERGE as it is carried out. */
export interface MergePlanClause {
  readonly when: MergeClause['when']
  readonly kind: 'update' | 'delete' | 'insert'
  readonly condition: string | undefined
  /** The columns of the table that the clause gives values; others get their default, or are computed. */
  readonly given: readonly string[]
}

/** What MERGE asks of the engine. */
export interface MergePlan {
  /**
   * A query with a row for each row that some clause applies to: `"__file"` and `"__row"`, NULL for new rows, `"__clause"`, the
   * index of the clause, and `"__new_0"`, `"__new_1"`, …, the values of the table's columns. A further row has `"__clause"` -1
   * and in `"__row"` the number of rows of the source.
   */
  readonly text: string
  readonly clauses: readonly MergePlanClause[]
}

/** The parts of a MERGE with its names settled. */
export type MergeParts = Pick<Merge, 'source' | 'on' | 'clauses'> & {
  /** What expressions call target and source. */
  readonly targetName: string
  readonly sourceName: string
}

/** Gives every `?` its number, since a part may be said more than once and elsewhere. */
export function numbered(parts: MergeParts): MergeParts {
  let count = 0
  const named = (text: string): string => {
    let out = ''
    let at = 0
    for (const { kind, value, start, endExclusive } of tokenize(text)) {
      if (kind !== 'parameter' || value !== '') continue
      out += `${text.slice(at, start)}$${++count}`
      at = endExclusive
    }
    return out + text.slice(at)
  }
  const some = (text: string | undefined) => (text === undefined ? undefined : named(text))
  const source = named(parts.source)
  const on = named(parts.on)
  const clauses = parts.clauses.map((clause): MergeClause => {
    const condition = some(clause.condition)
    const { action } = clause
    const sets = (set: readonly { readonly column: readonly string[]; readonly value: string | undefined }[]) =>
      set.map((one) => ({ ...one, value: some(one.value) }))
    if (action.kind === 'update') return { ...clause, condition, action: { ...action, set: sets(action.set) } } as MergeClause
    if (action.kind === 'insert')
      return { ...clause, condition, action: { ...action, values: sets(action.values) } } as MergeClause
    return { ...clause, condition } as MergeClause
  })
  return { ...parts, source, on, clauses }
}

/**
 * The query of a MERGE. Each kind of clause is a join of its own, in which just the rows can be named that it has: the
 * source is computed once for all.
 *
 * @param target how a query names the table; its rows have an address.
 * @param sourceColumns the columns of the source.
 * @param mayLack whether `*` passes over columns that the source does not have.
 * @throws {DeltaError} `SCHEMA_MISMATCH` for columns that are not there, `SQL_INVALID` for a clause that is never reached.
 */
export function mergePlan(
  schema: StructType,
  target: string,
  parts: MergeParts,
  sourceColumns: readonly { readonly name: string }[],
  mayLack = false,
): MergePlan {
  const { targetName, sourceName, source, on } = parts
  const actions = parts.clauses.map((clause, index) => ({
    ...clause,
    ...changeOf(schema, parts, sourceColumns, clause, mayLack),
    index,
  }))
  checkReached(parts.clauses)
  const condition = `(${oneCondition(on)}\n)`
  const [t, s] = [`${target} AS ${ident(targetName)}`, `"__source" AS ${ident(sourceName)}`]
  const joins = {
    matched: `${t} JOIN ${s} ON ${condition}`,
    notMatched: `${s} ANTI JOIN ${t} ON ${condition}`,
    notMatchedBySource: `${t} ANTI JOIN ${s} ON ${condition}`,
  }
  const branches = (['matched', 'notMatched', 'notMatchedBySource'] as const).flatMap((when) => {
    const own = actions.filter((clause) => clause.when === when)
    if (own.length === 0) return []
    const cases = own.map(
      ({ condition: and, index }) => `WHEN ${and === undefined ? 'TRUE' : `(${oneCondition(and)}\n)`} THEN ${index}`,
    )
    const chosen = `CASE ${cases.join(' ')} END`
    const address = (name: string, type: string) =>
      when === 'notMatched' ? `NULL::${type} AS ${ident(name)}` : `${ident(targetName)}.${ident(name)} AS ${ident(name)}`
    const values = schema.fields.flatMap((f, at) => {
      const isNew = when === 'notMatched'
      if (mentions(f.type, 'variant')) {
        const kept = isNew ? 'NULL' : `${ident(targetName)}.${ident(f.name)}`
        return variantColumns(actions, f, at, ({ index, values: of }) =>
          own.some((one) => one.index === index) ? `CASE ${chosen} WHEN ${index} THEN ${of.get(f.name) ?? kept} END` : 'NULL',
        )
      }
      const changed = own.flatMap(({ index, values: of }) => {
        const value = of.get(f.name)
        return value === undefined ? [] : [`WHEN ${index} THEN ${value}`]
      })
      const old = isNew ? `NULL::${duckdbType(f.type)}` : `${ident(targetName)}.${ident(f.name)}`
      return [`${changed.length === 0 ? old : `CASE ${chosen} ${changed.join(' ')} ELSE ${old} END`} AS "__new_${at}"`]
    })
    const selected = [address('__file', 'VARCHAR'), address('__row', 'BIGINT'), `${chosen} AS "__clause"`, ...values]
    return [`SELECT * FROM (SELECT ${selected.join(', ')} FROM ${joins[when]}) WHERE "__clause" IS NOT NULL`]
  })
  const empty = schema.fields.flatMap((f, at) =>
    mentions(f.type, 'variant') ? variantColumns(actions, f, at, () => 'NULL') : [`NULL::${duckdbType(f.type)} AS "__new_${at}"`],
  )
  const count = `SELECT ${['NULL::VARCHAR AS "__file"', 'count(*) AS "__row"', '-1 AS "__clause"', ...empty].join(', ')} FROM "__source"`
  return {
    text: `WITH "__source" AS MATERIALIZED (SELECT * FROM ${source}) ${[...branches, count].join(' UNION ALL ')}`,
    clauses: actions.map(({ when, kind, condition: and, given }) => ({ when, kind, condition: and, given })),
  }
}

/** The clauses may give a variant as JSON, as a text or as it was: each has a column of its own. */
function variantColumns(
  actions: readonly MergeChange[],
  f: StructField,
  at: number,
  valueFor: (action: MergeChange) => string,
): string[] {
  return actions
    .filter(({ given }) => given.includes(f.name))
    .map((action) => `${valueFor(action)} AS "__new_${at}_${action.index}"`)
}

/** What a clause makes of rows. */
interface MergeChange extends Pick<MergePlanClause, 'kind' | 'given'> {
  readonly index: number
  /** Each an expression of the column's type, where that is no variant. */
  readonly values: ReadonlyMap<string, string>
}

function changeOf(
  schema: StructType,
  { targetName, sourceName }: MergeParts,
  sourceColumns: readonly { readonly name: string }[],
  { action, when }: MergeClause,
  mayLack: boolean,
): Omit<MergeChange, 'index'> {
  const isGenerated = ({ metadata }: StructField) => generationOf(metadata) !== undefined
  const numbers = identityColumns(schema).map(({ name }) => name)
  if (action.kind === 'delete') return { kind: 'delete', given: [], values: new Map() }
  if (action.kind === 'updateAll' || action.kind === 'insertAll') {
    if (when === 'notMatchedBySource')
      throw new DeltaError(
        'SQL_INVALID',
        'a row that the source lacks has no source to be updated from',
        {},
        { hint: 'name the columns: UPDATE SET c = …' },
      )
    const values = new Map<string, string>()
    for (const f of schema.fields) {
      const from = sourceColumns.find(({ name }) => name.toLowerCase() === f.name.toLowerCase())?.name
      if (from !== undefined && numbers.includes(f.name))
        throw new DeltaError('FEATURE_UNSUPPORTED', 'a column that numbers the rows cannot be set', { column: f.name })
      if (from !== undefined) {
        const value = `${ident(sourceName)}.${ident(from)}`
        values.set(f.name, mentions(f.type, 'variant') ? value : `${value}::${duckdbType(f.type)}`)
      } else if (!isGenerated(f) && !numbers.includes(f.name) && !mayLack)
        throw new DeltaError(
          'SCHEMA_MISMATCH',
          'the source has no such column',
          { column: f.name },
          { hint: 'name the columns in place of *' },
        )
    }
    // A row that changes keeps its number.
    const kept = schema.fields.filter((f) => !values.has(f.name) && !isGenerated(f)).map(({ name }) => name)
    if (action.kind === 'updateAll') return { kind: 'update', given: [...values.keys(), ...kept], values }
    return { kind: 'insert', given: [...values.keys()], values }
  }
  const set = assignmentsOf(schema, targetName, action.kind === 'update' ? action.set : action.values)
  const values = new Map(
    set.flatMap(({ column, expression }: Assignment) => (expression === undefined ? [] : [[column.name, expression]])),
  )
  if (action.kind === 'insert') return { kind: 'insert', given: [...values.keys()], values }
  const defaults = set.filter(({ expression }) => expression === undefined).map(({ column }) => column.name)
  const given = schema.fields.filter((f) => !defaults.includes(f.name) && (values.has(f.name) || !isGenerated(f)))
  return { kind: 'update', given: given.map((f) => f.name), values }
}

/** Only the last clause of a kind may do without a condition: none behind it is ever reached. */
function checkReached(clauses: readonly MergeClause[]): void {
  for (const [at, { when, condition }] of clauses.entries())
    if (condition === undefined && clauses.slice(at + 1).some((later) => later.when === when))
      throw new DeltaError(
        'SQL_INVALID',
        'a clause behind one without a condition is never reached',
        { clause: at + 1 },
        { hint: 'give each clause but the last of its kind a condition' },
      )
}
