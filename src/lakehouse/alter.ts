import { DeltaError } from '../base/errors.js'
import type { Random } from '../base/random.js'
import { type Alteration, type AlterationOf, alterTable } from '../ops/alter.js'
import { clusteringBy } from '../ops/alter-clustering.js'
import {
  addingColumns,
  type ColumnAlteration,
  changingColumns,
  droppingColumns,
  renamingColumn,
  replacingColumns,
} from '../ops/alter-columns.js'
import { settingComment, settingProperties, unsettingProperties } from '../ops/alter-properties.js'
import { addingConstraint, droppingConstraint } from '../ops/alter-rules.js'
import { dropFeature } from '../ops/drop-feature.js'
import { syncIdentity } from '../ops/sync-identity.js'
import { giveRowIds, startsTracking } from '../ops/track-rows.js'
import { canonicalProperties, checkNewProperties } from '../protocol/properties.js'
import { field, type StructField } from '../protocol/schema.js'
import { parseType } from '../protocol/type-text.js'
import type { ColumnChange, TableChange } from '../sql/statements/alter.js'
import type { ColumnSpec } from '../sql/statements/columns.js'
import type { StoreOptions } from '../storage/store.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { TableHost } from './table-host.js'

/** A change of a table itself: RENAME TO is the catalog's. */
export type OwnChange = Exclude<TableChange, { readonly kind: 'rename' }>

/**
 * ALTER TABLE.
 *
 * @returns the version in which the table is so.
 * @throws {DeltaError} as `alterTable`.
 */
export async function alter(host: TableHost, table: DeltaTable, change: OwnChange, options: StoreOptions): Promise<number> {
  const column = syncedColumn(change)
  if (column !== undefined) return (await syncIdentity(table, host.engines.source, column, options)).version
  if (change.kind === 'dropFeature') return dropFeature(table, host.engines.source, change, options)
  if (change.kind === 'setProperties') await beforeProperties(host, table, change.properties, options)
  return alterTable(table, host.engines.source, alterationOf(table, change), options)
}

/** Rows are tracked once each file has ids for them: that comes first. */
async function beforeProperties(
  host: TableHost,
  table: DeltaTable,
  properties: Readonly<Record<string, string>>,
  options: StoreOptions,
): Promise<void> {
  const canonical = canonicalProperties(properties)
  checkNewProperties(canonical)
  if (startsTracking(await table.snapshot({}, options), canonical)) await giveRowIds(table, host.engines.source, options)
}

/** The column of SYNC IDENTITY, which looks at rows and changes a number, not the table's design. */
function syncedColumn(change: OwnChange): string | undefined {
  if (change.kind !== 'alterColumns') return undefined
  const [only, ...others] = change.changes
  return only?.change.kind === 'syncIdentity' && others.length === 0 ? only.column.join('.') : undefined
}

function alterationOf(table: DeltaTable, change: Exclude<OwnChange, { readonly kind: 'dropFeature' }>): AlterationOf {
  const newName = nameSource(table.deps.random)
  return async (snapshot, domains): Promise<Alteration | undefined> => {
    switch (change.kind) {
      case 'addColumns':
        return addingColumns(
          snapshot,
          change.columns.map(({ column, position, ...spec }) => ({ path: column, field: addedField(column, spec), position })),
          newName,
        )
      case 'dropColumns':
        return droppingColumns(snapshot, domains, change.columns, change.ifExists)
      case 'renameColumn':
        return renamingColumn(snapshot, change.column, change.to)
      case 'alterColumns':
        return changingColumns(snapshot, change.changes.map(columnAlteration))
      case 'replaceColumns': {
        const fields = change.columns.map(({ name, ...spec }) => ({ ...addedField([name], spec), nullable: spec.nullable }))
        return replacingColumns(snapshot, fields, newName)
      }
      case 'setProperties':
        return settingProperties(snapshot, change.properties, table.deps.random)
      case 'unsetProperties':
        return unsettingProperties(snapshot, change.keys, change.ifExists)
      case 'setComment':
        return settingComment(snapshot, change.comment, table.deps.random)
      case 'addConstraint':
        return table.deps.database.use((connection) =>
          addingConstraint(connection, snapshot, change.constraint.name, change.constraint.check),
        )
      case 'dropConstraint':
        return droppingConstraint(snapshot, change.name, change.ifExists)
      case 'clusterBy':
        return clusteringBy(snapshot, domains, change.columns)
    }
  }
}

/** A new column of a table that has rows: nothing computes what they hold in it. */
function addedField(path: readonly string[], spec: ColumnSpec): StructField {
  const refused = spec.generatedAs !== undefined ? 'a computed column' : spec.identity ? 'an identity column' : undefined
  if (refused || spec.default !== undefined)
    throw new DeltaError(
      'SCHEMA_CHANGE_REFUSED',
      `a column with ${refused ?? 'a default'} is not added to a table that may have rows`,
      { column: path.join('.') },
      { hint: refused ? 'create a table with it' : 'add the column, then ALTER COLUMN … SET DEFAULT' },
    )
  const metadata = spec.comment === undefined ? {} : { comment: spec.comment }
  return field(path.at(-1) ?? '', parseType(spec.type), spec.nullable, metadata)
}

function columnAlteration({ column, change }: ColumnChange): ColumnAlteration {
  switch (change.kind) {
    case 'type':
      if (/^\s*(var)?char\b/i.test(change.type) && /\(/.test(change.type))
        throw new DeltaError('STATEMENT_UNSUPPORTED', 'deltaic does not change the length of CHAR and VARCHAR columns')
      return { path: column, change: { kind: 'type', type: parseType(change.type) } }
    case 'syncIdentity':
      throw new DeltaError('STATEMENT_UNSUPPORTED', 'SYNC IDENTITY stands alone in its ALTER TABLE')
    default:
      return { path: column, change }
  }
}

function nameSource(random: Random): () => string {
  return () => `col-${random.uuid()}`
}
