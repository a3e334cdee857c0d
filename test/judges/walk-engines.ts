// The engines that take turns on one table. Each carries out an operation, or refuses it with a message.
import { isDeltaError, type Lakehouse } from '../../src/index.js'
import type { PeerClient } from '../support/peers.js'
import { done } from './engines.js'
import { COLUMNS, type Model, type Operation, operationSql, rowsSql, sqlValue } from './walk-model.js'

/** A refusal's message, or `undefined` when it was done. */
export type Outcome = string | undefined

export interface WalkEngine {
  readonly name: string
  create(design: Design): Promise<Outcome>
  run(operation: Operation, before: Model): Promise<Outcome>
}

export interface Design {
  readonly isPartitioned: boolean
  readonly properties: Readonly<Record<string, string>>
}

function createSql(table: string, using: string, { isPartitioned, properties }: Design): string {
  const columns = COLUMNS.map(({ name, type }) => `${name} ${type}`).join(', ')
  const list = Object.entries(properties).map(([key, value]) => `'${key}' = '${value}'`)
  return [
    `CREATE TABLE ${table} (${columns})${using}`,
    ...(isPartitioned ? ['PARTITIONED BY (p)'] : []),
    ...(list.length > 0 ? [`TBLPROPERTIES (${list.join(', ')})`] : []),
  ].join(' ')
}

/** What deltaic may answer instead of doing it; anything else is a fault. */
const OWN_REFUSALS = ['FEATURE_UNSUPPORTED', 'STATEMENT_UNSUPPORTED']

export function deltaicEngine(lake: Lakehouse, table: string): WalkEngine {
  const attempt = async (work: () => Promise<unknown>): Promise<Outcome> => {
    try {
      await work()
      return undefined
    } catch (error) {
      if (isDeltaError(error) && OWN_REFUSALS.includes(error.code)) return `${error.code}: ${error.message}`
      throw error
    }
  }
  const sql = async (text: string, options = {}) => (await lake.sql(text, options)).close()
  return {
    name: 'deltaic',
    create: (design) => attempt(() => sql(createSql(table, '', design))),
    run: (operation, before) =>
      attempt(async () => {
        if (operation.kind === 'vacuum') return lake.table(table).vacuum({ retentionMs: 0, force: true })
        if (operation.kind === 'checkpoint') return sql(`CHECKPOINT ${table}`)
        const dynamic = operation.kind === 'overwritePartitions' ? { partitionOverwriteMode: 'dynamic' } : {}
        return sql(operationSql(table, operation, before) ?? '', dynamic)
      }),
  }
}

/** What Spark says no to, whoever wrote the table; anything else is a fault of the table. */
const SPARK_REFUSALS: readonly RegExp[] = []

export function sparkEngine(spark: PeerClient, path: string): WalkEngine {
  const table = `delta.\`${path}\``
  const attempt = async (command: object): Promise<Outcome> => {
    const answer = await spark.run(command)
    if (!answer.ok && SPARK_REFUSALS.some((known) => known.test(answer.error.message))) return answer.error.message
    done(answer)
    return undefined
  }
  const sql = (text: string, conf: Readonly<Record<string, string>> = {}) => attempt({ sql: text, conf })
  return {
    name: 'spark',
    create: (design) => sql(createSql(table, ' USING delta', design)),
    run: async (operation, before) => {
      if (operation.kind === 'vacuum')
        return sql(`VACUUM ${table} RETAIN 0 HOURS`, { 'spark.databricks.delta.retentionDurationCheck.enabled': 'false' })
      if (operation.kind === 'replaceWhere') {
        const write = {
          path,
          sql: rowsSql(before.columns, operation.rows),
          mode: 'overwrite',
          options: { replaceWhere: operation.where.sql },
        }
        return attempt({ write })
      }
      const text = operationSql(table, operation, before)
      if (text === undefined) return 'has no such statement'
      const mode = operation.kind === 'overwritePartitions' ? 'dynamic' : 'static'
      return sql(text, { 'spark.sql.sources.partitionOverwriteMode': mode })
    },
  }
}

// biome-ignore lint/suspicious/noThenProperty: delta-rs' commands have it
const clause = (when: string, action: string, more: object = {}) => ({ when, then: action, ...more })

export function deltalakeEngine(writer: PeerClient, path: string): WalkEngine {
  const run = async (command: object): Promise<Outcome> => {
    const answer = await writer.run({ table: path, ...command })
    return answer.ok ? undefined : answer.error.message
  }
  const data = ({ columns }: Model, rows: Parameters<typeof rowsSql>[1]) => ({ sql: rowsSql(columns, rows) })
  return {
    name: 'deltalake',
    create: async ({ isPartitioned, properties }) => {
      const type = { BIGINT: 'long', INT: 'integer', STRING: 'string' } as const
      const fields = COLUMNS.map((column) => ({ name: column.name, type: type[column.type], nullable: true, metadata: {} }))
      const schema = { type: 'struct', fields }
      return run({ op: 'create', schema, partitionBy: isPartitioned ? ['p'] : [], configuration: properties })
    },
    run: async (operation, before) => {
      switch (operation.kind) {
        case 'append':
          return run({ op: 'append', ...data(before, operation.rows) })
        case 'overwrite':
          return run({ op: 'overwrite', ...data(before, operation.rows) })
        case 'replaceWhere':
          return run({ op: 'overwrite', predicate: operation.where.sql, ...data(before, operation.rows) })
        case 'delete':
          return run({ op: 'delete', predicate: operation.where.sql })
        case 'update': {
          const set = Object.fromEntries(Object.entries(operation.set).map(([name, value]) => [name, sqlValue(value)]))
          return run({ op: 'update', set, predicate: operation.where.sql })
        }
        case 'merge': {
          const clauses = [
            clause('matched', 'delete', { if: 's.v IS NULL' }),
            clause('matched', 'update', { set: { v: 's.v', s: 's.s', p: 's.p' } }),
            clause('notMatched', 'insertAll'),
          ]
          return run({ op: 'merge', ...data(before, operation.rows), on: 't.id = s.id', clauses })
        }
        case 'addColumn': {
          const { name, type } = operation.column
          const added = { name, type: type === 'INT' ? 'integer' : 'string', nullable: true, metadata: {} }
          return run({ op: 'addColumns', schema: { type: 'struct', fields: [added] } })
        }
        case 'restore':
          return run({ op: 'restore', to: operation.version })
        case 'optimize':
          return run({ op: 'optimize' })
        case 'zorder':
          return run({ op: 'optimize', zOrderBy: ['v', 'id'] })
        case 'vacuum':
          return run({ op: 'vacuum', retentionHours: 0, enforceRetention: false })
        case 'checkpoint':
          return run({ op: 'checkpoint' })
        default:
          return 'has no such operation'
      }
    },
  }
}
