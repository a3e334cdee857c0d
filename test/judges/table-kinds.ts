// Every kind of table that deltaic writes, with rows that are hard to get right.
import type { RecordBatch } from 'apache-arrow'
import { afterAll, expect, vi } from 'vitest'
import { recordBatches } from '../../src/engine/arrow-out.js'
import { Database } from '../../src/engine/database.js'
import { columnDefinitions } from '../../src/engine/types.js'
import type { Lakehouse, StructType, Table } from '../../src/index.js'
import { readLastCheckpoint } from '../../src/log/last-checkpoint.js'
import { openStore } from '../../src/storage/open.js'
import { digestOfArrow } from '../support/arrow-digest.js'
import { freshName, onDisk, type Place } from './lakes.js'

/** One commit after the other: rows as a query of DuckDB, or a compaction. */
type Step = string | 'OPTIMIZE'

export interface TableKind {
  readonly kind: string
  readonly columns: string
  readonly partitionBy?: string
  readonly properties?: Readonly<Record<string, string>>
  readonly steps: readonly Step[]
  /** False where other engines cannot write what they read. */
  readonly appendedByOthers?: false
  /** False where DuckDB's reader gives NULL in partition columns that have another name in the log. */
  readonly readByDuckdb?: false
}

const numbers = (from: number) => `SELECT i, 'row ' || i, i / 8 FROM range(${from}, ${from + 4}) AS r(i)`
const PLAIN = 'id BIGINT, name STRING, score DOUBLE'

const PRIMITIVES =
  'id INT, bool BOOLEAN, tiny BYTE, small SHORT, big BIGINT, single FLOAT, twice DOUBLE, price DECIMAL(5,2), exact DECIMAL(38,10), ' +
  'text STRING, bytes BINARY, day DATE, moment TIMESTAMP'
const PRIMITIVE_ROWS = [
  `SELECT 1, true, 127, 32767, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308, 999.99,
    9999999999999999999999999999.9999999999, 'é 日本 😀', '\\x00\\xFF'::BLOB, DATE '9999-12-31', TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'`,
  `SELECT 2, false, -128, -32768, -9223372036854775808, -1e-45, 5e-324, -999.99,
    -9999999999999999999999999999.9999999999, '', ''::BLOB, DATE '0001-01-01', TIMESTAMPTZ '1969-12-31 23:59:59.999999+00'`,
  'SELECT 3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL',
  `SELECT 4, true, 0, 0, 0, 'nan', 'nan', 0, 0, E'"\\\\\\n\\t\\'', '"'::BLOB, DATE '1969-12-31', TIMESTAMPTZ '1582-10-04 00:00:00.000001+00'
    UNION ALL SELECT 5, true, 0, 0, 0, 'inf', '-inf', 0.01, 1e-10, repeat('x', 40), '\\x00'::BLOB, DATE '1970-01-01', TIMESTAMPTZ '2024-02-29 12:00:00.123456+00'
    UNION ALL SELECT 6, true, 0, 0, 0, -0.0, -0.0, -0.01, -1e-10, repeat('😀', 40), encode('é'), DATE '2024-02-29', TIMESTAMPTZ '1970-01-01 00:00:00+00'`,
]

const NESTED =
  'id INT, point STRUCT<x: INT, moment: STRUCT<day: DATE, tags: ARRAY<STRING>>>, lists ARRAY<ARRAY<BIGINT>>, ' +
  'points ARRAY<STRUCT<x: INT, y: DOUBLE>>, ages MAP<STRING, INT>, places MAP<STRING, STRUCT<x: INT>>'
const NESTED_ROWS = [
  `SELECT 1, {x: 1, moment: {day: DATE '2024-01-01', tags: ['a', NULL, '']}}, [[1, NULL], NULL, []], [{x: 1, y: 0.5}, NULL],
    MAP {'b': 1, 'a': NULL}, MAP {'here': {x: 1}, 'there': NULL}`,
  'SELECT 2, NULL, NULL, NULL, NULL, NULL',
  `SELECT 3, {x: NULL, moment: NULL}, [], [], MAP {}, MAP {}
    UNION ALL SELECT 4, {x: 4, moment: {day: NULL, tags: []}}, [[9223372036854775807]], [{x: NULL, y: NULL}], MAP {'': 0}, MAP {'': {x: NULL}}`,
]

/** Each value that a partition's folder, a URI or a glob could take for something else. */
const AWKWARD_TEXTS = [
  'plain',
  'two words',
  ' blank ends ',
  'ü/日本😀',
  '100%',
  '%41',
  'a=b',
  'a:b?c&d#e',
  '\'single\' "double"',
  '[a]*{b}?',
  'back\\slash',
  '.',
  '..',
  'null',
  'a\nb',
  '+',
  '~',
  'UPPER',
  'upper',
  'x'.repeat(80),
]
const textRows = (offset: number) =>
  `SELECT ${AWKWARD_TEXTS.length * offset} + i, t FROM (SELECT unnest([${AWKWARD_TEXTS.map(sqlText).join(', ')}, NULL]) AS t, generate_subscripts([${AWKWARD_TEXTS.map(sqlText).join(', ')}, NULL], 1) AS i)`

function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

const typedPartitions = (id: number) => `
  SELECT ${id}, 1, DATE '2024-02-29', TIMESTAMPTZ '2024-02-29 12:34:56.789012+00', true, 12.50, 9007199254740993, 'a'
  UNION ALL SELECT ${id + 1}, -2147483648, DATE '1969-12-31', TIMESTAMPTZ '1969-12-31 23:59:59.999999+00', false, 1.05, -1, 'b'
  UNION ALL SELECT ${id + 2}, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  UNION ALL SELECT ${id + 3}, 0, DATE '0001-01-01', TIMESTAMPTZ '2024-01-01 00:00:00+00', true, 0, 0, 'c'`
const TYPED_PARTITIONS =
  'id BIGINT, number INT, day DATE, moment TIMESTAMP, flag BOOLEAN, price DECIMAL(10,2), big BIGINT, text STRING'

export const TABLE_KINDS: readonly TableKind[] = [
  { kind: 'plain', columns: PLAIN, steps: [numbers(0), numbers(10), numbers(20)] },
  { kind: 'without rows', columns: PLAIN, steps: [] },
  { kind: 'of every primitive type', columns: PRIMITIVES, steps: PRIMITIVE_ROWS },
  { kind: 'nested', columns: NESTED, steps: [...NESTED_ROWS, 'OPTIMIZE'] },
  {
    kind: 'of times without a zone',
    columns: 'id INT, moment TIMESTAMP_NTZ, hour TIMESTAMP_NTZ, inside STRUCT<moment: TIMESTAMP_NTZ>',
    partitionBy: 'hour',
    steps: [
      `SELECT 1, TIMESTAMP '2024-02-29 12:34:56.789012', TIMESTAMP '2024-02-29 12:00:00', {moment: TIMESTAMP '1969-12-31 23:59:59.999999'}`,
      `SELECT 2, TIMESTAMP '0001-01-01 00:00:00', TIMESTAMP '1969-12-31 23:59:59.999999', NULL UNION ALL SELECT 3, NULL, NULL, {moment: NULL}`,
    ],
  },
  {
    kind: 'with columns that take no NULL',
    columns: 'id BIGINT NOT NULL, name STRING NOT NULL, part STRING NOT NULL, note STRING',
    partitionBy: 'part',
    properties: { 'delta.appendOnly': 'true' },
    steps: [`SELECT 1, 'a', 'p', NULL`, `SELECT 2, '', 'q', 'n'`],
  },
  {
    kind: 'partitioned by text',
    columns: 'id INT, text STRING',
    partitionBy: 'text',
    steps: [textRows(0), textRows(1), 'OPTIMIZE'],
  },
  {
    kind: 'partitioned by every other type',
    columns: TYPED_PARTITIONS,
    partitionBy: 'number, day, moment, flag, price, big, text',
    properties: { 'delta.checkpointInterval': '2' },
    steps: [typedPartitions(0), typedPartitions(10), typedPartitions(20), 'OPTIMIZE', typedPartitions(30)],
  },
  {
    kind: 'with v2 checkpoints',
    columns: TYPED_PARTITIONS,
    partitionBy: 'number, day, moment, flag, price, text',
    properties: { 'delta.checkpointInterval': '2', 'delta.checkpointPolicy': 'v2' },
    steps: [typedPartitions(0), typedPartitions(10), 'OPTIMIZE', typedPartitions(20), typedPartitions(30)],
  },
  {
    // delta-rs writes these values as others.
    kind: 'partitioned by negative decimals and the name of the null partition',
    columns: 'id INT, price DECIMAL(10,2), text STRING',
    partitionBy: 'price, text',
    steps: [
      `SELECT 1, -0.01, '__HIVE_DEFAULT_PARTITION__' UNION ALL SELECT 2, 0, NULL`,
      `SELECT 3, -0.01, '__HIVE_DEFAULT_PARTITION__' UNION ALL SELECT 4, -1.05, NULL`,
      'OPTIMIZE',
    ],
    appendedByOthers: false,
  },
  {
    kind: 'checkpointed',
    columns: PLAIN,
    properties: { 'delta.checkpointInterval': '3' },
    steps: [0, 10, 20, 30, 40, 50, 60].map(numbers),
  },
  {
    kind: 'checkpointed with all its types',
    columns: PRIMITIVES,
    properties: { 'delta.checkpointInterval': '2' },
    steps: [...PRIMITIVE_ROWS, 'OPTIMIZE', ...PRIMITIVE_ROWS],
  },
  {
    kind: 'compacted',
    columns: PLAIN,
    properties: { 'delta.checkpointInterval': '5' },
    steps: [numbers(0), numbers(10), numbers(20), 'OPTIMIZE', numbers(30), numbers(40), 'OPTIMIZE'],
  },
  {
    kind: 'with odd column names',
    columns: '`Größe` INT, `a.b` STRING, `x-y` DOUBLE, `we"ird` INT, `日本` STRUCT<`p.q`: INT>, `select` STRING',
    steps: [`SELECT 1, 'dot', 0.5, 2, {'p.q': 3}, 's'`, `SELECT NULL, NULL, NULL, NULL, NULL, NULL`],
  },
  ...(['name', 'id'] as const).flatMap((mode) => {
    // delta-rs appends to such tables under the logical names.
    const mapped = {
      properties: { 'delta.columnMapping.mode': mode, 'delta.checkpointInterval': '2' },
      appendedByOthers: false as const,
    }
    const steps = [
      `SELECT 1, {x: 1, 'y,z': [{q: 'a'}, NULL]}, MAP {'k': {v: 0.5}}, DATE '2024-02-29'`,
      `SELECT 2, NULL, NULL, NULL UNION ALL SELECT 3, {x: NULL, 'y,z': []}, MAP {}, DATE '1969-12-31'`,
      `SELECT 4, {x: 4, 'y,z': NULL}, MAP {'': NULL}, DATE '2024-02-29'`,
      'OPTIMIZE',
    ]
    const columns =
      'id INT, `point of` STRUCT<x: INT, `y,z`: ARRAY<STRUCT<q: STRING>>>, ages MAP<STRING, STRUCT<v: DOUBLE>>, `p=q` DATE'
    return [
      { kind: `with columns mapped by ${mode}`, columns, steps, ...mapped },
      {
        kind: `partitioned by a column mapped by ${mode}`,
        columns,
        partitionBy: '`p=q`',
        steps,
        ...mapped,
        readByDuckdb: false as const,
      },
    ]
  }),
  {
    kind: 'with statistics of its first column',
    columns: PLAIN,
    properties: { 'delta.dataSkippingNumIndexedCols': '1' },
    steps: [numbers(0), numbers(10)],
  },
]

/** On disk all kinds; elsewhere those of which the log or the paths are of a form of their own: values are the same everywhere. */
export function kindsOn(place: Place): readonly TableKind[] {
  const isOfOwnForm = ({ partitionBy, properties = {}, steps }: TableKind) =>
    partitionBy !== undefined || 'delta.checkpointInterval' in properties || steps.includes('OPTIMIZE')
  return place === onDisk ? TABLE_KINDS : TABLE_KINDS.filter((kind) => kind.kind === 'plain' || isOfOwnForm(kind))
}

/** A table that was built, and what its versions hold. */
export interface BuiltTable {
  readonly table: Table
  readonly schema: StructType
  /** By version, from 0: the digest of what went in, computed without any table. */
  readonly digests: readonly string[]
}

/** Builds a table through the public API alone, and waits for its last checkpoint, which is written behind the commits. */
export async function buildTable(place: Place, lake: Lakehouse, kind: TableKind): Promise<BuiltTable> {
  const name = freshName(kind.kind)
  const partitioned = kind.partitionBy ? `PARTITIONED BY (${kind.partitionBy})` : ''
  const properties = Object.entries(kind.properties ?? {}).map(([key, value]) => `'${key}' = '${value}'`)
  await run(
    lake,
    `CREATE TABLE ${name} (${kind.columns}) ${partitioned} ${properties.length > 0 ? `TBLPROPERTIES (${properties.join(', ')})` : ''}`,
  )
  const table = lake.table(name)
  const { schema } = await table.snapshot()
  const batches: string[] = []
  const digests = [await digestOfSource(schema, batches)]
  for (const step of kind.steps) {
    if (step === 'OPTIMIZE') await table.optimize()
    else {
      await table.append({ sql: step })
      batches.push(step)
    }
    digests.push(await digestOfSource(schema, batches))
  }
  const interval = Number(kind.properties?.['delta.checkpointInterval'] ?? Number.POSITIVE_INFINITY)
  const checkpoint = Math.floor(kind.steps.length / interval) * interval
  if (checkpoint > 0)
    await vi.waitFor(async () => expect(await lastCheckpoint(place, table)).toBeGreaterThanOrEqual(checkpoint), 20_000)
  return { table, schema, digests }
}

async function lastCheckpoint(place: Place, table: Table): Promise<number | undefined> {
  const store = openStore(table.uri, place.options)
  try {
    return (await readLastCheckpoint(store))?.version
  } finally {
    await store.close()
  }
}

export async function run(lake: Lakehouse, sql: string): Promise<void> {
  await (await lake.sql(sql)).close()
}

let opened: Promise<Database> | undefined
afterAll(async () => (await opened)?.close())

/** The SQL engine by itself: nothing of a table takes part in what it says. */
export function plainEngine(): Promise<Database> {
  opened ??= Database.open({ threads: 1 })
  return opened
}

/** The digest of queries' rows under a schema. */
async function digestOfSource({ fields }: StructType, queries: readonly string[]): Promise<string> {
  return (await plainEngine()).use(async (connection) => {
    const batches: RecordBatch[] = []
    await connection.run(`CREATE OR REPLACE TEMPORARY TABLE source (${columnDefinitions(fields)})`)
    for (const query of queries) await connection.run(`INSERT INTO source ${query}`)
    for await (const batch of recordBatches(await connection.stream('FROM source'))) batches.push(batch)
    await connection.run('DROP TABLE source')
    return digestOfArrow(batches)
  })
}
