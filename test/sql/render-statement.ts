import type { Statement } from '../../src/sql/statement.js'
import type { TableChange } from '../../src/sql/statements/alter.js'
import type { AddColumn, ColumnPosition, ColumnSpec } from '../../src/sql/statements/columns.js'
import type { Assignment } from '../../src/sql/statements/dml.js'
import type { MergeClause } from '../../src/sql/statements/merge.js'
import type { AsOfRef, ColumnPath, TableName } from '../../src/sql/statements/names.js'

/** A statement as text that reads as the same statement. */
export function renderStatement(statement: Statement): string {
  const s = statement
  switch (s.kind) {
    case 'query':
      return s.text
    case 'explain':
      return `EXPLAIN ${s.text}`
    case 'createTable': {
      const items = [
        ...s.columns.map((column) => `${id(column.name)} ${spec(column)}`),
        ...s.constraints.map(({ name, check }) => `CONSTRAINT ${id(name)} CHECK (${check})`),
      ]
      return words(
        create(s),
        items.length > 0 && `(${items.join(', ')})`,
        'USING delta',
        s.partitionBy.length > 0 && `PARTITIONED BY (${s.partitionBy.map(id).join(', ')})`,
        s.clusterBy && clusterBy(s.clusterBy),
        s.location !== undefined && `LOCATION ${str(s.location)}`,
        s.comment !== undefined && `COMMENT ${str(s.comment)}`,
        properties('TBLPROPERTIES', s.properties),
        s.as !== undefined && `AS ${s.as}`,
      )
    }
    case 'clone':
      return words(
        create(s),
        `${s.isDeep ? 'DEEP' : 'SHALLOW'} CLONE ${name(s.source)}`,
        s.asOf && asOf(s.asOf),
        properties('TBLPROPERTIES', s.properties),
        s.location !== undefined && `LOCATION ${str(s.location)}`,
      )
    case 'convert':
      return words(
        `CONVERT TO DELTA parquet.${id(s.location)}`,
        !s.collectStats && 'NO STATISTICS',
        s.partitionBy.length > 0 && `PARTITIONED BY (${s.partitionBy.map((c) => `${id(c.name)} ${c.type}`).join(', ')})`,
      )
    case 'dropTable':
      return words('DROP TABLE', s.ifExists && 'IF EXISTS', name(s.table))
    case 'alterTable':
      return `ALTER TABLE ${name(s.table)} ${tableChange(s.change, s.table)}`
    case 'insert':
      return words(
        'INSERT',
        s.withSchemaEvolution && 'WITH SCHEMA EVOLUTION',
        s.mode === 'overwrite' ? 'OVERWRITE' : 'INTO',
        name(s.table),
        s.partition.length > 0 &&
          `PARTITION (${s.partition.map((p) => id(p.column) + (p.value === undefined ? '' : ` = ${p.value}`)).join(', ')})`,
        s.columns && `(${s.columns.map(id).join(', ')})`,
        s.byName && 'BY NAME',
        s.where !== undefined && `REPLACE WHERE ${s.where}`,
        s.query,
      )
    case 'copy':
      return words(`COPY ${name(s.table)} FROM ${str(s.file)}`, properties('', s.options))
    case 'delete':
      return words(`DELETE FROM ${name(s.table)}`, s.alias !== undefined && `AS ${id(s.alias)}`, where(s.where))
    case 'update':
      return words(
        `UPDATE ${name(s.table)}`,
        s.alias !== undefined && `AS ${id(s.alias)}`,
        `SET ${assignments(s.set)}`,
        where(s.where),
      )
    case 'truncate':
      return `TRUNCATE TABLE ${name(s.table)}`
    case 'merge':
      return words(
        `MERGE ${s.withSchemaEvolution ? 'WITH SCHEMA EVOLUTION ' : ''}INTO ${name(s.table)}`,
        s.alias !== undefined && `AS ${id(s.alias)}`,
        `USING ${s.source}`,
        s.sourceAlias !== undefined && `AS ${id(s.sourceAlias)}`,
        `ON ${s.on}`,
        ...s.clauses.map(mergeClause),
      )
    case 'describe':
      return words('DESCRIBE', s.what === 'columns' ? 'TABLE' : s.what, name(s.table))
    case 'history':
      return words(`DESCRIBE HISTORY ${name(s.table)}`, s.limit !== undefined && `LIMIT ${s.limit}`)
    case 'showTables':
      return 'SHOW TABLES'
    case 'showProperties':
      return words(`SHOW TBLPROPERTIES ${name(s.table)}`, s.key !== undefined && `(${str(s.key)})`)
    case 'showColumns':
      return `SHOW COLUMNS IN ${name(s.table)}`
    case 'showPartitions':
      return `SHOW PARTITIONS ${name(s.table)}`
    case 'showCreateTable':
      return `SHOW CREATE TABLE ${name(s.table)}`
    case 'optimize':
      return words(
        `OPTIMIZE ${name(s.table)}`,
        s.full && 'FULL',
        where(s.where),
        s.zorderBy.length > 0 && `ZORDER BY (${s.zorderBy.map(path).join(', ')})`,
      )
    case 'reorg':
      return words(`REORG TABLE ${name(s.table)}`, where(s.where), 'APPLY (PURGE)')
    case 'vacuum':
      return words(
        `VACUUM ${name(s.table)}`,
        s.mode === 'lite' && 'LITE',
        s.retainHours !== undefined && `RETAIN ${s.retainHours} HOURS`,
        s.dryRun && 'DRY RUN',
      )
    case 'restore':
      return `RESTORE TABLE ${name(s.table)} TO ${asOf(s.asOf)}`
    case 'undo':
      return words(
        `UNDO TABLE ${name(s.table)} VERSIONS ${s.versions.from} TO ${s.versions.to}`,
        s.where !== undefined && `WHERE ${s.where}`,
        s.changed === 'remove' && 'REMOVE CHANGED',
        s.views === 'skip' && 'WITHOUT VIEWS',
        s.dryRun && 'DRY RUN',
      )
    case 'fsck':
      return words(`FSCK REPAIR TABLE ${name(s.table)}`, s.dryRun && 'DRY RUN')
    case 'checkpoint':
      return `CHECKPOINT ${name(s.table)}`
    case 'generate':
      return `GENERATE ${s.what} FOR TABLE ${name(s.table)}`
    case 'createView':
      return words(
        `CREATE ${s.orReplace ? 'OR REPLACE ' : ''}MATERIALIZED VIEW`,
        s.ifNotExists && 'IF NOT EXISTS',
        name(s.view),
        s.clusterBy.length > 0 && clusterBy(s.clusterBy),
        s.comment !== undefined && `COMMENT ${str(s.comment)}`,
        properties('TBLPROPERTIES', s.properties),
        `AS ${s.as}`,
      )
    case 'dropView':
      return words('DROP MATERIALIZED VIEW', s.ifExists && 'IF EXISTS', name(s.view))
    case 'refreshViews':
      return words(`REFRESH MATERIALIZED VIEW ${s.views.map(name).join(', ')}`, s.full && 'FULL')
    case 'rebuildView':
      return words(`REBUILD MATERIALIZED VIEW ${name(s.view)}`, s.as !== undefined && `AS ${s.as}`)
    case 'showViews':
      return 'SHOW VIEWS'
  }
}

function tableChange(change: TableChange, table: TableName): string {
  switch (change.kind) {
    case 'addColumns':
      return `ADD COLUMNS (${change.columns.map(addColumn).join(', ')})`
    case 'dropColumns':
      return words('DROP COLUMNS', change.ifExists && 'IF EXISTS', `(${change.columns.map(path).join(', ')})`)
    case 'renameColumn':
      return `RENAME COLUMN ${path(change.column)} TO ${id(change.to)}`
    case 'alterColumns':
      return `ALTER COLUMN ${change.changes.map(({ column, change: of }) => `${path(column)} ${columnChange(of)}`).join(', ')}`
    case 'replaceColumns':
      return `REPLACE COLUMNS (${change.columns.map((column) => `${id(column.name)} ${spec(column)}`).join(', ')})`
    case 'setProperties':
      return `SET ${properties('TBLPROPERTIES', change.properties) || 'TBLPROPERTIES ()'}`
    case 'unsetProperties':
      return words('UNSET TBLPROPERTIES', change.ifExists && 'IF EXISTS', `(${change.keys.map(str).join(', ')})`)
    case 'addConstraint':
      return `ADD CONSTRAINT ${id(change.constraint.name)} CHECK (${change.constraint.check})`
    case 'dropConstraint':
      return words('DROP CONSTRAINT', change.ifExists && 'IF EXISTS', id(change.name))
    case 'clusterBy':
      return clusterBy(change.columns)
    case 'dropFeature':
      return words(`DROP FEATURE ${id(change.feature)}`, change.truncateHistory && 'TRUNCATE HISTORY')
    case 'rename':
      return `RENAME TO ${name(change.to)}`
    case 'setComment':
      throw new Error(`COMMENT ON TABLE ${name(table)} is a statement of its own`)
  }
}

type Change = Extract<TableChange, { kind: 'alterColumns' }>['changes'][number]['change']

function columnChange(change: Change): string {
  switch (change.kind) {
    case 'type':
      return `TYPE ${change.type}`
    case 'nullable':
      return change.nullable ? 'DROP NOT NULL' : 'SET NOT NULL'
    case 'comment':
      return `COMMENT ${str(change.comment)}`
    case 'default':
      return change.expression === undefined ? 'DROP DEFAULT' : `SET DEFAULT ${change.expression}`
    case 'position':
      return position(change.position)
    case 'syncIdentity':
      return 'SYNC IDENTITY'
  }
}

function mergeClause({ when, condition, action }: MergeClause): string {
  const by = when === 'matched' ? 'MATCHED' : when === 'notMatched' ? 'NOT MATCHED' : 'NOT MATCHED BY SOURCE'
  const then = () => {
    switch (action.kind) {
      case 'delete':
        return 'DELETE'
      case 'update':
        return `UPDATE SET ${assignments(action.set)}`
      case 'updateAll':
        return 'UPDATE SET *'
      case 'insert':
        return `INSERT (${action.values.map(({ column }) => path(column)).join(', ')}) VALUES (${action.values.map(({ value }) => value ?? 'DEFAULT').join(', ')})`
      case 'insertAll':
        return 'INSERT *'
    }
  }
  return words(`WHEN ${by}`, condition !== undefined && `AND ${condition}`, `THEN ${then()}`)
}

function create({ mode, ifNotExists, table }: Extract<Statement, { kind: 'createTable' | 'clone' }>): string {
  const verb = { create: 'CREATE', createOrReplace: 'CREATE OR REPLACE', replace: 'REPLACE' }[mode]
  return words(`${verb} TABLE`, ifNotExists && 'IF NOT EXISTS', name(table))
}

function spec({ type, nullable, comment, default: byDefault, generatedAs, identity }: ColumnSpec): string {
  return words(
    type,
    byDefault !== undefined && `DEFAULT ${byDefault}`,
    !nullable && 'NOT NULL',
    generatedAs !== undefined && `GENERATED ALWAYS AS (${generatedAs})`,
    identity &&
      `GENERATED ${identity.allowsExplicit ? 'BY DEFAULT' : 'ALWAYS'} AS IDENTITY (START WITH ${identity.start} INCREMENT BY ${identity.step})`,
    comment !== undefined && `COMMENT ${str(comment)}`,
  )
}

function addColumn({ column, position: at, ...rest }: AddColumn): string {
  return words(path(column), spec(rest), at && position(at))
}

function position(at: ColumnPosition): string {
  return 'first' in at ? 'FIRST' : `AFTER ${id(at.after)}`
}

function clusterBy(columns: readonly ColumnPath[]): string {
  return columns.length === 0 ? 'CLUSTER BY NONE' : `CLUSTER BY (${columns.map(path).join(', ')})`
}

function assignments(set: readonly Assignment[]): string {
  return set.map(({ column, value }) => `${path(column)} = ${value ?? 'DEFAULT'}`).join(', ')
}

function properties(keyword: string, values: Readonly<Record<string, string>>): string {
  const entries = Object.entries(values)
  return entries.length === 0 ? '' : `${keyword} (${entries.map(([key, value]) => `${str(key)} = ${str(value)}`).join(', ')})`
}

function where(condition: string | undefined): string {
  return condition === undefined ? '' : `WHERE ${condition}`
}

function asOf({ unit, expression }: AsOfRef): string {
  return `${unit.toUpperCase()} AS OF ${expression}`
}

function name(table: TableName): string {
  return 'name' in table ? id(table.name) : `delta.${id(table.location)}`
}

function path(column: ColumnPath): string {
  return column.map(id).join('.')
}

function id(identifier: string): string {
  return /^[a-d]$/.test(identifier) ? identifier : `\`${identifier.replaceAll('`', '``')}\``
}

function str(value: string): string {
  return `'${value.replaceAll("'", "''")}'`
}

function words(...parts: readonly (string | false | undefined)[]): string {
  return parts.filter(Boolean).join(' ')
}
