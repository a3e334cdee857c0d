import { execFileSync } from 'node:child_process'
import { cpSync, existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { report, seconds } from './report.js'

const FILES = 10
/** One row of so many is changed. */
const APART = 10_000
const KINDS = ['delete', 'update', 'merge'] as const

type Seconds = Readonly<Record<(typeof KINDS)[number], readonly number[]>>
type Peer = { readonly name: string } & ({ readonly took: Seconds } | { readonly why: string })

/** DELETE, UPDATE and MERGE of few rows in very many, against delta-rs and Spark on copies of the same table. */
export async function benchDml({ folder, rows, rounds }: BenchContext): Promise<void> {
  const total = rows * 20
  const turns = Math.min(rounds, 3)
  for (const vectors of [false, true]) {
    const root = join(folder, vectors ? 'vectors' : 'rewrites')
    const lake = await openLakehouse(join(root, 'lake'))
    await lake.sql(
      `CREATE TABLE t (id BIGINT, k INT, v DOUBLE, s STRING) TBLPROPERTIES ('delta.enableDeletionVectors' = '${vectors}')`,
    )
    for (let file = 0; file < FILES; file++) {
      const [from, to] = [(total / FILES) * file, (total / FILES) * (file + 1)]
      await lake.sql(
        `INSERT INTO t SELECT i, (i % 1000)::INT, hash(i) / 1e19, 'row number ' || hash(i) FROM range(${from}, ${to}) AS r(i)`,
      )
    }
    for (const peer of ['delta-rs', 'spark']) cpSync(join(root, 'lake', 't'), join(root, peer, 't'), { recursive: true })
    const ours: Record<(typeof KINDS)[number], number[]> = { delete: [], update: [], merge: [] }
    for (let turn = 0; turn < turns; turn++)
      for (const kind of KINDS) ours[kind].push(await seconds(() => lake.sql(statement('t', kind, turn, total))))
    await lake.close()
    for (const peer of [deltalake(join(root, 'delta-rs', 't'), turns, total, vectors), spark(join(root, 'spark'), turns, total)])
      for (const kind of KINDS)
        report({
          title: `${kind.toUpperCase()} of ${(total / APART).toLocaleString('en-US')} rows in ${total.toLocaleString('en-US')}, ${vectors ? 'by deletion vectors' : 'by rewriting files'}`,
          unit: 'statements/s',
          ours: { name: 'deltaic', runs: ours[kind].map((took) => 1 / took) },
          peer: 'why' in peer ? peer : { name: peer.name, runs: peer.took[kind].map((took) => 1 / took) },
          aim: 1,
        })
  }
}

/** Each turn and kind has rows of its own. */
function residue(kind: (typeof KINDS)[number], turn: number): number {
  return turn * 10 + KINDS.indexOf(kind)
}

function statement(table: string, kind: (typeof KINDS)[number], turn: number, total: number, spark = false): string {
  const rest = residue(kind, turn)
  if (kind === 'delete') return `DELETE FROM ${table} WHERE id % ${APART} = ${rest}`
  if (kind === 'update') return `UPDATE ${table} SET v = v + 1 WHERE id % ${APART} = ${rest}`
  const ids = spark ? `SELECT id * ${APART} + ${rest} AS id, CAST(0.5 AS DOUBLE) AS v FROM range(${total / APART})` : ''
  const source = ids || `SELECT i * ${APART} + ${rest} AS id, 0.5::DOUBLE AS v FROM range(${total / APART}) AS r(i)`
  return (
    `MERGE INTO ${table} AS t USING (${source}) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v ` +
    "WHEN NOT MATCHED THEN INSERT (id, k, v, s) VALUES (s.id, 0, s.v, '')"
  )
}

function deltalake(table: string, turns: number, total: number, vectors: boolean): Peer {
  const name = 'delta-rs'
  const python = pythonOf()
  if (!python) return { name, why: 'DELTAIC_PEERS names no folder with its environment' }
  if (vectors) return { name, why: 'it writes no deletion vectors' }
  const plan = Array.from({ length: turns }, (_, turn) => KINDS.map((kind) => [kind, residue(kind, turn)])).flat()
  const answer = execFileSync(python, ['-c', DELTALAKE, table, JSON.stringify(plan), String(APART), String(total)], {
    encoding: 'utf8',
  })
  return { name, took: JSON.parse(answer) as Seconds }
}

const DELTALAKE = `
import json, sys, time, pyarrow as pa
from deltalake import DeltaTable
path, plan, apart, total = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
took = {}
for kind, rest in plan:
  table = DeltaTable(path)
  start = time.perf_counter()
  if kind == 'delete': table.delete(f'id % {apart} = {rest}')
  elif kind == 'update': table.update(updates={'v': 'v + 1'}, predicate=f'id % {apart} = {rest}')
  else:
    n = total // apart
    source = pa.table({'id': pa.array([i * apart + rest for i in range(n)], pa.int64()), 'v': pa.array([0.5] * n)})
    (table.merge(source, 't.id = s.id', source_alias='s', target_alias='t').when_matched_update({'v': 's.v'})
      .when_not_matched_insert({'id': 's.id', 'v': 's.v'}).execute())
  took.setdefault(kind, []).append(time.perf_counter() - start)
print(json.dumps(took))
`

function spark(base: string, turns: number, total: number): Peer {
  const name = 'Spark'
  const python = pythonOf()
  const script = resolve(process.env['DELTAIC_PEER_SCRIPTS'] ?? '../shared/peers', 'spark_run.py')
  if (!python || !existsSync(script) || !existsSync(join(process.env['DELTAIC_PEERS'] ?? '', '.stamp-spark')))
    return { name, why: 'DELTAIC_PEERS names no folder with it, or its script is not there' }
  const asked = Array.from({ length: turns }, (_, turn) => KINDS.map((kind) => ({ kind, turn }))).flat()
  const table = 'delta.`{base}/t`'
  const lines = [
    { sql: `SELECT count(*) FROM ${table}` },
    ...asked.map(({ kind, turn }) => ({ sql: statement(table, kind, turn, total, true) })),
    { exit: true },
  ]
  const answers = execFileSync(python, [script, base], {
    input: lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const took = answers
    .trim()
    .split('\n')
    .slice(2)
    .map((line) => JSON.parse(line) as { ok: boolean; seconds: number; error?: unknown })
  const of = (kind: string) => asked.flatMap((one, at) => (one.kind === kind && took[at]?.ok ? [took[at].seconds] : []))
  return { name, took: { delete: of('delete'), update: of('update'), merge: of('merge') } }
}

function pythonOf(): string | undefined {
  const python = join(process.env['DELTAIC_PEERS'] ?? '', 'venv', 'bin', 'python')
  return process.env['DELTAIC_PEERS'] !== undefined && existsSync(python) ? python : undefined
}
