import { DeltaError } from '../base/errors.js'
import type { SyntaxNode } from './syntax-tree.js'

/** A table that a query names. */
export interface TableRef {
  readonly node: SyntaxNode
  readonly schema: string
  readonly name: string
}

/** What a query refers to. */
export interface QueryReferences {
  /** Without the names that stand for a WITH clause where they are used. */
  readonly tables: readonly TableRef[]
}

const SOURCES = new Set([
  'BASE_TABLE',
  'JOIN',
  'SUBQUERY',
  'TABLE_FUNCTION',
  'EXPRESSION_LIST',
  'PIVOT',
  'EMPTY',
  'SHOW_REF',
  'DELIM_GET',
])
const NODES = new Set(['SELECT_NODE', 'SET_OPERATION_NODE', 'RECURSIVE_CTE_NODE', 'CTE_NODE'])

/** Table functions that touch nothing but their arguments. */
const TABLE_FUNCTIONS = new Set([
  'range',
  'generate_series',
  'unnest',
  'repeat',
  'repeat_row',
  'generate_subscripts',
  'json_each',
])

/**
 * What recurses into JSON as deep as it is nested: on 300,000 nested lists it overflows the engine's stack, which ends the
 * process, or goes on where no interrupt reaches it.
 */
const ENDLESS = new Set([
  'json_structure',
  'json_group_structure',
  'json_contains',
  'json_merge_patch',
  'json_pretty',
  'json_tree',
])

/**
 * Scalar functions and macros that read settings, the environment, the catalog or other queries, or act on the engine.
 * Everything else that is scalar works on its arguments alone.
 */
const REFUSED = new Set(
  (
    'getenv current_setting getvariable query query_table current_query current_query_id current_connection_id current_transaction_id ' +
    'txid_current nextval currval write_log sleep_ms json_execute_serialized_sql json_serialize_sql json_deserialize_sql json_serialize_plan ' +
    'sql_auto_complete in_search_path current_schemas current_database current_catalog current_user session_user user current_role ' +
    'get_block_size stats which_secret parse_duckdb_log_message inet_client_addr inet_client_port inet_server_addr inet_server_port ' +
    'col_description obj_description shobj_description setseed error add_parquet_key copy_database force_checkpoint checkpoint ' +
    'enable_logging disable_logging glob read_text read_blob'
  ).split(' '),
)
const REFUSED_PREFIX = /^(duckdb_|pragma_|read_|pg_|has_.*_privilege$|parquet_|__|sniff_|scan_|sqlite_|icu_sort_key$)/

/**
 * The first wall around SQL that users write: a query may only be made of parts known to be harmless. What it names as a
 * table is given back, to be looked up in the catalog; nothing else is ever read.
 *
 * @throws {DeltaError} `SQL_FORBIDDEN`, naming the part.
 */
export function checkAllowed(tree: SyntaxNode): QueryReferences {
  const tables: TableRef[] = []
  const visit = (value: unknown, defined: ReadonlySet<string>): void => {
    if (Array.isArray(value)) {
      for (const child of value) visit(child, defined)
    } else if (typeof value === 'object' && value !== null) {
      const node = value as SyntaxNode
      checkNode(node)
      if (node['type'] === 'BASE_TABLE') {
        const table = baseTable(node)
        if (table.schema !== '' || !defined.has(table.name.toLowerCase())) tables.push(table)
      }
      const below = namesBelow(node, defined, visit)
      for (const [key, child] of Object.entries(node)) if (key !== 'cte_map') visit(child, below)
    }
  }
  visit(tree, new Set())
  return { tables }
}

function checkNode(node: SyntaxNode): void {
  const type = text(node['type'])
  if ('at_clause' in node || 'table_name' in node || 'from_table' in node || 'sample' in node) checkShape(node, type)
  if (type === 'TABLE_FUNCTION') checkTableFunction(node)
  if (type === 'SHOW_REF' && !node['query']) throw forbidden('SHOW in a query')
  if (node['class'] === 'CAST' && JSON.stringify(node['cast_type'])?.includes('"VARIANT"')) throw endless('VARIANT')
  if (node['class'] === 'FUNCTION' || node['class'] === 'WINDOW') checkFunction(node)
}

/**
 * The names that WITH clauses define for what is below `node`. A definition sees those before it, and itself when it is
 * recursive; anywhere else its name is that of a table, or of something of the engine's own that nobody may see.
 */
function namesBelow(
  node: SyntaxNode,
  defined: ReadonlySet<string>,
  visit: (value: unknown, defined: ReadonlySet<string>) => void,
): ReadonlySet<string> {
  const clause = node['cte_map'] as { readonly map: readonly { readonly key: string; readonly value: unknown }[] } | undefined
  const recursive = node['type'] === 'RECURSIVE_CTE_NODE' ? text(node['cte_name']).toLowerCase() : undefined
  if (recursive === undefined && !clause?.map.length) return defined
  const names = new Set(defined)
  if (recursive !== undefined) names.add(recursive)
  for (const { key, value } of clause?.map ?? []) {
    visit(value, names)
    names.add(key.toLowerCase())
  }
  return names
}

/** Every source of rows and every kind of query is on the list, or the query is refused. */
function checkShape(node: SyntaxNode, type: string): void {
  if (SOURCES.has(type) || NODES.has(type) || node['class'] !== undefined) return
  if (type === '' || 'sample_size' in node) return
  throw forbidden(type)
}

function baseTable(node: SyntaxNode): TableRef {
  if (text(node['catalog_name']) !== '')
    throw forbidden(`${text(node['catalog_name'])}.${text(node['schema_name'])}.${text(node['table_name'])}`)
  return { node, schema: text(node['schema_name']), name: text(node['table_name']) }
}

function checkTableFunction(node: SyntaxNode): void {
  const call = node['function'] as SyntaxNode
  const name = text(call['function_name']).toLowerCase()
  if (!TABLE_FUNCTIONS.has(name) || text(call['schema']) !== '' || text(call['catalog']) !== '')
    throw forbidden(`function ${name}`)
}

function checkFunction(node: SyntaxNode): void {
  const name = text(node['function_name']).toLowerCase()
  const schema = text(node['schema']).toLowerCase()
  if (!['', 'main'].includes(schema) || !['', 'system'].includes(text(node['catalog']).toLowerCase()))
    throw forbidden(`function ${schema}.${name}`)
  if (ENDLESS.has(name)) throw endless(name)
  if (REFUSED.has(name) || (REFUSED_PREFIX.test(name) && !TABLE_FUNCTIONS.has(name))) throw forbidden(`function ${name}`)
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function endless(part: string): DeltaError {
  const hint = 'take JSON apart with json_extract, json_each or a cast to a type'
  return new DeltaError('SQL_FORBIDDEN', 'deep nesting could end the process here', { part }, { hint })
}

function forbidden(part: string): DeltaError {
  return new DeltaError(
    'SQL_FORBIDDEN',
    'SQL here reads tables of the lakehouse and nothing else',
    { part },
    {
      hint: 'name a table of the lakehouse; files come in with ingest',
    },
  )
}
