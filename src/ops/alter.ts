import { DeltaError } from '../base/errors.js'
import type { DomainMetadata, Metadata, Protocol } from '../protocol/actions.js'
import { checkWritable } from '../protocol/features.js'
import { tableProperties } from '../protocol/properties.js'
import { type ProtocolRequest, protocolFor } from '../protocol/protocol-for.js'
import { parseSchema } from '../protocol/schema.js'
import type { StoreOptions } from '../storage/store.js'
import { checkRules } from '../table/check-rules.js'
import type { Operation } from '../table/commit-info.js'
import { conflictError } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import { broken } from '../table/row-checks.js'
import type { RowRule } from '../table/row-rules.js'
import { scanSql } from '../table/scan-sql.js'
import type { Snapshot } from '../table/snapshot.js'

/** What becomes of a table's metadata and protocol; its files stay as they are. */
export interface Alteration {
  readonly metadata: Metadata
  readonly operation: Operation
  /** What the protocol is to have beyond what schema and properties need. */
  readonly request?: ProtocolRequest | undefined
  /** The protocol, where it is to lose something. */
  readonly protocol?: Protocol | undefined
  readonly domains?: readonly DomainMetadata[] | undefined
  /** Rules that the rows of the table, as it is, must keep already. */
  readonly rules?: readonly RowRule[] | undefined
  /** Whether it only holds while nobody writes beside it. */
  readonly readsWhole?: boolean | undefined
}

/** Decides an alteration of a table; `undefined` when there is nothing to do. */
export type AlterationOf = (snapshot: Snapshot, domains: readonly DomainMetadata[]) => Promise<Alteration | undefined>

/**
 * ALTER TABLE, in one commit: the protocol gets what the new metadata needs. Rows are looked at only where a rule is to hold
 * for those that are there.
 *
 * @returns the version in which the table is so.
 * @throws {DeltaError} `COMMIT_CONFLICT` when somebody else changed the table meanwhile, `CONSTRAINT_VIOLATED` or `VALUE_NULL`
 * for rows that break a new rule, `FEATURE_UNSUPPORTED` for a promise that this library does not keep.
 */
export async function alterTable(
  table: DeltaTable,
  source: FileSource,
  alter: AlterationOf,
  options: StoreOptions = {},
): Promise<number> {
  const transaction = await table.transaction(undefined, options)
  const { snapshot } = transaction
  const alteration = await alter(snapshot, [...(await table.known()).domainMetadata()])
  if (!alteration) return snapshot.version
  const { metadata, request, operation, domains = [], rules = [] } = alteration
  const schema = parseSchema(metadata.schemaString)
  const protocol = alteration.protocol ?? protocolFor(schema, metadata.configuration, request, snapshot.protocol)
  checkWritable(protocol, metadata)
  await table.deps.database.use((connection) => checkRules(connection, schema, tableProperties(metadata.configuration)))
  if (rules.length > 0) await checkRows(table, source, snapshot, rules, options)
  if (rules.length > 0 || alteration.readsWhole) transaction.readWhole()
  if (JSON.stringify(protocol) !== JSON.stringify(snapshot.protocol)) transaction.setProtocol(protocol)
  for (const domain of domains) transaction.setDomain(domain)
  const outcome = await transaction.setMetadata(metadata).describe(operation).commit(options)
  if (outcome.kind === 'conflict') throw conflictError(table.uri, outcome.conflict)
  return outcome.version
}

/** Refuses when rows of the table break a rule, with the first of them. */
async function checkRows(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  rules: readonly RowRule[],
  options: StoreOptions,
): Promise<void> {
  const { files } = await snapshot.files('TRUE', options)
  const held = await source.open(table.deps.store, files, snapshot, undefined, options)
  try {
    const { schema, partitionColumns, mapping } = snapshot
    const query = scanSql({ fields: schema.fields, partitionColumns, mapping }, held.files)
    await table.deps.database.use(async (connection) => {
      for (const rule of rules) {
        const [found] = await connection.rows<{ rows: bigint }>(
          `SELECT count(*) AS rows FROM (${query}) WHERE ${rule.violated}`,
          options,
        )
        const rows = Number(found?.rows ?? 0)
        if (rows > 0) throw await broken(connection, rule, query, rows, options)
      }
    })
  } finally {
    held.release()
  }
}

export function refusedAlteration(message: string, details: Readonly<Record<string, unknown>>, hint?: string): DeltaError {
  return new DeltaError('SCHEMA_CHANGE_REFUSED', message, details, { hint })
}
