import { DeltaError } from '../base/errors.js'
import { clusteredBy } from '../protocol/clustering.js'
import { field } from '../protocol/schema.js'
import type { FieldPath } from '../protocol/schema-path.js'
import { parseType } from '../protocol/type-text.js'
import type { CreateView } from '../sql/statements/views.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import { AS_OF, BUCKET } from '../views/as-of.js'
import { bucketsDefinition, bucketsName, hasBuckets } from '../views/buckets.js'
import { invalid } from '../views/derivation.js'
import { derivePlan } from '../views/derive.js'
import { type SourceLag, type ViewReading, viewAt } from '../views/exact.js'
import { hiddenColumns } from '../views/maintain-sql.js'
import { maintenanceOf, type ViewPlan } from '../views/plan.js'
import { newView, VIEW_PROPERTIES, type View, viewOf, viewProperties } from '../views/view.js'
import { checkDesign } from './create.js'
import { makeTable } from './make-table.js'
import { checkTableName, tableExists } from './names.js'
import { bucketsBeside, pinView, readingOf } from './pinned-view.js'
import { refreshPolicy } from './refresh-policy.js'
import { refreshView } from './refresh-views.js'
import type { TableHost } from './table-host.js'
import { ageOf } from './view-reads.js'
import { batchesOf, stageBuilt } from './view-refresh.js'

/** A view in a list of them. */
export interface ViewSummary {
  readonly name: string
  readonly uri: string
  readonly definition: string
  readonly sources: readonly string[]
}

/** What there is to say about a view. */
export interface ViewDetail extends ViewSummary {
  /** The version of its state. */
  readonly version: number
  /** The columns that tell its rows apart; empty when none are known to. */
  readonly key: readonly string[]
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** How it is kept up with its sources, in words. */
  readonly maintenance: string
  /** Whether changes go into its state without computing it anew. */
  readonly incremental: boolean
  /** Which version of each source its state was made from, and which is there now. */
  readonly watermarks: readonly SourceLag[]
  /** Whether its state lacks changed rows. Reads never do. */
  readonly behind: boolean
  /** How long ago the first change came that its state lacks, in milliseconds. */
  readonly lagMs: number
  /** Sizes of the files with rows that its state lacks. */
  readonly lagBytes: number
  readonly properties: Readonly<Record<string, string>>
}

export interface MadeView {
  readonly created: boolean
  readonly version: number
  readonly rowsAdded: number
  readonly maintenance: string
}

export interface CreateViewOptions {
  /** The query that defines it. */
  readonly as: string
  /** Paths of columns, at most 4. */
  readonly clusterBy?: readonly (readonly string[])[] | undefined
  readonly properties?: Readonly<Record<string, string>> | undefined
  readonly comment?: string | undefined
  /** Leave a view that is there as it is. @defaultValue false */
  readonly ifNotExists?: boolean | undefined
  /** Put the view in the place of one that is there. @defaultValue false */
  readonly orReplace?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** What views ask of the catalog. */
export interface ViewCatalog {
  tables(): Promise<readonly { readonly name: string; readonly uri: string }[]>
  deltaOf(name: string): DeltaTable
  beforeTable(options: { readonly signal?: AbortSignal | undefined }): Promise<void>
  dropTable(name: string, options?: { readonly ifExists?: boolean | undefined }): Promise<boolean>
}

const PREFIX = '__view_'

/** The views of a lakehouse, by name. */
export async function listViews(catalog: ViewCatalog, signal?: AbortSignal): Promise<readonly ViewSummary[]> {
  const found = await Promise.all(
    (await catalog.tables()).map(async ({ name, uri }) => {
      const view = viewOf(await catalog.deltaOf(name).snapshot({}, { signal }))
      return view ? [{ name, uri, definition: view.definition, sources: view.sources }] : []
    }),
  )
  return found.flat()
}

/** Views that read a table or view, directly or through others, each after those that it reads. */
export async function viewsOver(catalog: ViewCatalog, source: string, signal?: AbortSignal): Promise<readonly ViewSummary[]> {
  const all = await listViews(catalog, signal)
  const over = new Set([source.toLowerCase()])
  const found: ViewSummary[] = []
  for (let grown = true; grown; ) {
    grown = false
    for (const view of all) {
      if (over.has(view.name.toLowerCase()) || !view.sources.some((name) => over.has(name.toLowerCase()))) continue
      over.add(view.name.toLowerCase())
      found.push(view)
      grown = true
    }
  }
  return found
}

/** @throws {DeltaError} `VIEW_NOT_FOUND`. */
export async function describeView(host: TableHost, name: string, signal?: AbortSignal): Promise<ViewDetail> {
  const pinned = await pinView(host, name, signal)
  const { view, snapshot } = pinned
  const reading = readingOf(host, signal)
  const at = await viewAt(reading, pinned, PREFIX)
  const behind = at.isBeyond || at.changes.plus.length + at.changes.minus.length > 0
  return {
    name,
    uri: pinned.table.uri,
    definition: view.definition,
    sources: view.sources,
    version: snapshot.version,
    key: view.key,
    columns: view.plan.columns,
    maintenance: maintenanceOf(view.plan),
    incremental: view.plan.kind !== 'full',
    watermarks: at.lags,
    behind,
    lagMs: behind ? await ageOf(host, reading, at.lags) : 0,
    lagBytes: at.changedBytes,
    properties: ownProperties(snapshot),
  }
}

/**
 * Makes a view, with its state as of now.
 *
 * @throws {DeltaError} `VIEW_INVALID`, `TABLE_EXISTS`, `TABLE_NOT_FOUND`, and what its query throws.
 */
export async function createView(
  host: TableHost,
  catalog: ViewCatalog,
  name: string,
  request: Omit<CreateView, 'kind' | 'view'>,
  signal: AbortSignal | undefined,
): Promise<MadeView> {
  const delta = catalog.deltaOf(name)
  if (await delta.exists()) {
    const there = await delta.snapshot({}, { signal })
    const known = viewOf(there)
    if (!known && request.orReplace) throw tableExists(name)
    if (!request.orReplace) {
      if (!request.ifNotExists || !known) throw tableExists(name)
      return { created: false, version: there.version, rowsAdded: 0, maintenance: maintenanceOf(known.plan) }
    }
  }
  for (const key of Object.keys(request.properties))
    if (VIEW_PROPERTIES.includes(key))
      throw new DeltaError('ARGUMENT_INVALID', 'a view sets this property itself', { property: key })
  refreshPolicy(request.properties)
  return writeNew(host, catalog, delta, name, request, signal)
}

/**
 * Derives a view anew from the raw rows, with a new definition where one is given. The old state answers until the new one
 * takes its place, in one commit.
 */
export async function rebuildView(
  host: TableHost,
  catalog: ViewCatalog,
  name: string,
  as: string | undefined,
  signal: AbortSignal | undefined,
): Promise<MadeView> {
  const { view, table, snapshot } = await pinView(host, name, signal)
  if (as === undefined) {
    const result = await refreshView(host, name, { full: true, signal })
    return { created: true, version: result.version, rowsAdded: result.rowsAdded, maintenance: maintenanceOf(view.plan) }
  }
  const request = {
    orReplace: true,
    ifNotExists: false,
    as,
    clusterBy: await clusteringLeft(host, name, as, table, snapshot, signal),
    comment: snapshot.metadata.description,
    properties: ownProperties(snapshot),
  }
  return writeNew(host, catalog, table, name, request, signal)
}

/**
 * Deletes a view with its state, and with the view of its buckets, which goes first: without it the others still answer.
 *
 * @returns false when there was none, with `ifExists`.
 * @throws {DeltaError} `VIEW_NOT_FOUND` otherwise.
 */
export async function dropView(
  host: TableHost,
  catalog: ViewCatalog,
  name: string,
  ifExists = false,
  signal?: AbortSignal,
): Promise<boolean> {
  if (ifExists && !(await catalog.deltaOf(name).exists())) return false
  await pinView(host, name, signal)
  const beside = await bucketsBeside(host, name, signal)
  if (beside) await catalog.dropTable(beside, { ifExists: true })
  return catalog.dropTable(name, { ifExists })
}

/** What a view is clustered by, as far as another definition has these columns. */
async function clusteringLeft(
  host: TableHost,
  name: string,
  as: string,
  table: DeltaTable,
  snapshot: Snapshot,
  signal: AbortSignal | undefined,
): Promise<readonly FieldPath[]> {
  const clustered = clusteredBy((await table.known()).domainMetadata(), snapshot.schema, snapshot.mapping)
  if (clustered.length === 0) return []
  const { columns } = await planOf(host, name, as, signal)
  return clustered.filter(([first]) => columns.some((column) => column.name === first))
}

/** A view, and beside it the states of its buckets where it is to be asked up to a time. */
async function writeNew(
  host: TableHost,
  catalog: ViewCatalog,
  table: DeltaTable,
  name: string,
  request: Omit<CreateView, 'kind' | 'view'>,
  signal: AbortSignal | undefined,
): Promise<MadeView> {
  const { as, properties } = request
  const { [AS_OF]: asOf, [BUCKET]: bucket } = properties
  const plan = await planOf(host, name, as, signal, asOf)
  if (asOf !== undefined && !plan.event)
    throw invalid('rows of this definition do not tell when they happened', 'group them, or select the column', { column: asOf })
  const made = await writeView(host, catalog, table, name, newView(as, plan), request, signal)
  if (made.created && asOf !== undefined && bucket !== undefined && hasBuckets(plan)) {
    const inBuckets = bucketsName(checkTableName(name))
    const definition = await bucketsDefinition(host.engines.binder, as, asOf, bucket)
    const beside = {
      ...request,
      orReplace: true,
      ifNotExists: false,
      clusterBy: [],
      as: definition,
      properties: policyOf(properties),
    }
    const other = newView(definition, await planOf(host, inBuckets, definition, signal))
    await writeView(host, catalog, catalog.deltaOf(inBuckets), inBuckets, other, beside, signal)
  } else if (made.created) {
    // Those of a view that was here before are of another definition.
    const old = await bucketsBeside(host, name, signal)
    if (old) await catalog.dropTable(old, { ifExists: true })
  }
  return made
}

function policyOf(properties: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(properties).filter(([key]) => key.startsWith('deltaic.view.refresh')))
}

function planOf(host: TableHost, name: string, text: string, signal: AbortSignal | undefined, asOf?: string): Promise<ViewPlan> {
  const find = async (source: string) => {
    const pinned = await host.pin({ schema: '', name: source }, signal)
    if (!pinned) return undefined
    const view = viewOf(pinned.snapshot)
    if (source.toLowerCase() === name.toLowerCase() || (view && (await reaches(host, view, name, signal))))
      throw invalid('a view cannot read itself', 'name other tables', { view: name })
    const visible = new Set(view?.plan.columns.map((column) => column.name))
    return { name: source, fields: pinned.snapshot.schema.fields.filter((f) => !view || visible.has(f.name)) }
  }
  return derivePlan(host.engines.binder, text, find, asOf)
}

async function reaches(host: TableHost, view: View, name: string, signal: AbortSignal | undefined): Promise<boolean> {
  for (const source of view.sources) {
    if (source.toLowerCase() === name.toLowerCase()) return true
    const pinned = await host.pin({ schema: '', name: source }, signal)
    const inner = pinned && viewOf(pinned.snapshot)
    if (inner && (await reaches(host, inner, name, signal))) return true
  }
  return false
}

async function writeView(
  host: TableHost,
  catalog: ViewCatalog,
  table: DeltaTable,
  name: string,
  view: View,
  { orReplace, ifNotExists, clusterBy, comment, properties }: Omit<CreateView, 'kind' | 'view'>,
  signal: AbortSignal | undefined,
): Promise<MadeView> {
  const { plan } = view
  const design = checkDesign({
    fields: [...plan.columns, ...hiddenColumns(plan)].map((column) => field(column.name, parseType(column.type, 'duckdb'))),
    clusterBy,
    comment,
    properties: { 'delta.enableDeletionVectors': 'true', ...properties, ...viewProperties(view) },
  })
  for (const source of view.sources) {
    const pinned = await host.pin({ schema: '', name: source }, signal)
    if (pinned && viewOf(pinned.snapshot)) await refreshView(host, source, { signal })
  }
  await catalog.beforeTable({ signal })
  const reading: ViewReading = { ...readingOf(host, signal), upstream: 'stored' }
  const at = await viewAt(reading, { name, table, view }, PREFIX)
  const { staged } = await stageBuilt(host, { table }, at, design, signal)
  const made = await makeTable(table, name, design, staged, {
    mode: orReplace ? 'createOrReplace' : 'create',
    ifNotExists,
    batches: await batchesOf(reading, at, staged.rows),
    signal,
  })
  return {
    created: made.created,
    version: made.version,
    rowsAdded: made.created ? staged.rows : 0,
    maintenance: maintenanceOf(plan),
  }
}

/** What its maker said of a view, and nothing that follows from its definition. */
function ownProperties({ metadata }: Snapshot): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(metadata.configuration).filter(([key]) => !VIEW_PROPERTIES.includes(key) && !DERIVED.test(key)),
  )
}

const DERIVED = /^delta\.(constraints\.|columnMapping\.maxColumnId$|rowTracking\.materialized)/
