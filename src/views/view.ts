import { VIEW_DEFINITION } from '../protocol/properties.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import type { ViewPlan } from './plan.js'

/** A materialized view, as the properties of its state say. */
export interface View {
  /** The query, as it was written. */
  readonly definition: string
  /** The view's columns that tell its rows apart; empty when it is not known to have any. */
  readonly key: readonly string[]
  /** Tables and views that the definition names, each once. */
  readonly sources: readonly string[]
  readonly plan: ViewPlan
}

const KEY = 'deltaic.view.key'
const SOURCES = 'deltaic.view.sources'
const PLAN = 'deltaic.view.plan'

/** What only making a view sets. */
export const VIEW_PROPERTIES: readonly string[] = [VIEW_DEFINITION, KEY, SOURCES, PLAN]

const views = new WeakMap<object, View>()

/** The view of which a table is the state; `undefined` for any other table. */
export function viewOf({ metadata }: Pick<Snapshot, 'metadata'>): View | undefined {
  const { configuration } = metadata
  const definition = configuration[VIEW_DEFINITION]
  const plan = configuration[PLAN]
  if (definition === undefined || plan === undefined) return undefined
  const known = views.get(metadata)
  if (known) return known
  const list = (key: string) => JSON.parse(configuration[key] ?? '[]') as readonly string[]
  const view = { definition, key: list(KEY), sources: list(SOURCES), plan: JSON.parse(plan) as ViewPlan }
  views.set(metadata, view)
  return view
}

/** The properties of a view's state. */
export function viewProperties({ definition, key, sources, plan }: View): Readonly<Record<string, string>> {
  return {
    [VIEW_DEFINITION]: definition,
    [KEY]: JSON.stringify(key),
    [SOURCES]: JSON.stringify(sources),
    [PLAN]: JSON.stringify(plan),
  }
}

/** A view by its definition and plan. */
export function newView(definition: string, plan: ViewPlan): View {
  const { groups, columns } = plan
  const own = new Set(columns.map(({ name }) => name))
  const keys = groups?.keys.map(({ name }) => name) ?? []
  return {
    definition,
    key: keys.every((name) => own.has(name)) ? keys : [],
    sources: [...new Set(plan.sources.map(({ name }) => name))],
    plan,
  }
}

/** The transaction that says up to which version of a table a view's state has come. */
export function watermarkOf(source: Pick<Snapshot, 'metadata'>): string {
  return `deltaic.view.source.${source.metadata.id}`
}

const COMMITS_BACK_MAX = 1000

/**
 * The version of a source that a state was made from.
 *
 * @param at the state, which may be behind the newest version of its table.
 * @returns `undefined` when it was made from none, as when the source has been replaced by another table.
 */
export async function watermarkAt(
  table: DeltaTable,
  at: Snapshot,
  source: Pick<Snapshot, 'metadata'>,
): Promise<number | undefined> {
  const appId = watermarkOf(source)
  const log = await table.known()
  const known = log.transaction(appId)
  if (!known) return undefined
  if ((known.committedAt ?? log.firstVersion) <= at.version) return known.version
  for (let version = at.version; version >= 0 && version > at.version - COMMITS_BACK_MAX; version--) {
    const commit = await table.commitIfKept(version)
    const found = commit?.txns.find((txn) => txn.appId === appId)
    if (found || !commit) return found?.version
  }
  return undefined
}
