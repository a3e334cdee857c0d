import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'
import { checkDesign, createDeltaTable, type TableDesign } from '../../src/lakehouse/create.js'
import { field } from '../../src/protocol/schema.js'
import { openStore } from '../../src/storage/open.js'
import { openWorld } from '../support/world.js'

const world = await openWorld()
let root: string
let lake: Lakehouse
let made = 0

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'deltaic-rules-'))
  lake = await openLakehouse(root)
})
afterAll(async () => {
  await lake?.close()
  await rm(root, { recursive: true, force: true })
})

const RULED: TableDesign = {
  fields: [
    field('id', 'long', false),
    field('kind', 'string', false, { CURRENT_DEFAULT: "'plain'" }),
    field('twice', 'long', false, { 'delta.generationExpression': 'id * 2' }),
  ],
  constraints: [{ name: 'positive', expression: 'id > 0' }],
}

async function ruled(design = RULED): Promise<string> {
  const name = `t${++made}`
  await createDeltaTable(world.table(openStore(join(root, name))), checkDesign(design), { name: 'CREATE TABLE' })
  return name
}
const rowsOf = async (name: string) => {
  const result = await lake.sql(`SELECT * FROM ${name} ORDER BY id`)
  return (await result.rows()).map(
    (row) => JSON.parse(JSON.stringify(row, (_, v: unknown) => (typeof v === 'bigint' ? Number(v) : v))) as unknown,
  )
}
const lines = (...rows: readonly unknown[]) => Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))

describe('a table with a default, a generated column and a constraint', () => {
  it.each<[string, Buffer, 'ndjson' | 'json' | 'csv']>([
    ['lines', lines({ id: 1 }, { id: 2 }), 'ndjson'],
    ['lines that give all', lines({ id: 1, kind: 'plain', twice: 2 }, { id: 2, kind: 'plain', twice: 4 }), 'ndjson'],
    ['lines that differ', lines({ id: 1, kind: 'plain' }, { id: 2 }), 'ndjson'],
    ['an array', Buffer.from('[{"id": 1}, {"id": 2, "kind": "plain"}]'), 'json'],
    ['CSV', Buffer.from('id\n1\n2\n'), 'csv'],
  ])('fills them in for %s', async (_, data, format) => {
    const name = await ruled()
    const table = await lake.table(name)
    for (const write of [() => table.append(data, { format }), () => table.ingest(data, { format })]) {
      await write()
      expect(await rowsOf(name)).toEqual(
        expect.arrayContaining([
          { id: 1, kind: 'plain', twice: 2 },
          { id: 2, kind: 'plain', twice: 4 },
        ]),
      )
    }
    expect(await rowsOf(name)).toHaveLength(4)
  })

  it('fills them in for INSERT', async () => {
    const name = await ruled()
    await lake.sql(`INSERT INTO ${name} (id) VALUES (1)`)
    await lake.sql(`INSERT INTO ${name} (kind, id) VALUES ('x', 2)`)
    await lake.sql(`INSERT INTO ${name} VALUES (3, 'y', 6)`)
    expect(await rowsOf(name)).toEqual([
      { id: 1, kind: 'plain', twice: 2 },
      { id: 2, kind: 'x', twice: 4 },
      { id: 3, kind: 'y', twice: 6 },
    ])
  })

  it('takes nothing of what breaks its rules, on every way in', async () => {
    const name = await ruled()
    const table = await lake.table(name)
    const broken = { code: 'CONSTRAINT_VIOLATED' }
    await expect(table.append(lines({ id: 1 }, { id: -1 }), { format: 'ndjson' })).rejects.toMatchObject(broken)
    await expect(table.append(lines({ id: 1, kind: 'x', twice: 3 }), { format: 'ndjson' })).rejects.toMatchObject(broken)
    await expect(table.ingest(lines({ id: 0 }), { format: 'ndjson' })).rejects.toMatchObject(broken)
    await expect(lake.sql(`INSERT INTO ${name} VALUES (3, 'y', 7)`)).rejects.toMatchObject(broken)
    await expect(lake.sql(`INSERT INTO ${name} (id) SELECT -i FROM range(1, 5) t(i)`)).rejects.toMatchObject({
      details: { constraint: 'positive', rows: 4 },
    })
    await expect(lake.sql(`INSERT INTO ${name} (id, kind) VALUES (1, NULL)`)).rejects.toMatchObject({ code: 'VALUE_NULL' })
    expect(await rowsOf(name)).toEqual([])
  })

  it('keeps a NULL that a line gives, where it may be there', async () => {
    const fields = [field('id', 'long'), field('kind', 'string', true, { CURRENT_DEFAULT: "'plain'" })]
    const name = await ruled({ fields })
    await (await lake.table(name)).append(lines({ id: 1, kind: null }, { id: 2 }), { format: 'ndjson' })
    expect(await rowsOf(name)).toEqual([
      { id: 1, kind: null },
      { id: 2, kind: 'plain' },
    ])
  })

  it('fails only the request whose rows break a rule', async () => {
    const name = await ruled()
    const table = await lake.table(name)
    const outcomes = await Promise.allSettled([1, -2, 3].map((id) => table.ingest(lines({ id }), { format: 'ndjson' })))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await rowsOf(name)).toMatchObject([{ id: 1 }, { id: 3 }])
  })
})

describe('rules inside structs', () => {
  const invariant = JSON.stringify({ expression: { expression: 's.deep.max < 10' } })
  const deep = field('deep', { type: 'struct', fields: [field('max', 'integer', true, { 'delta.invariants': invariant })] })
  const design: TableDesign = {
    fields: [field('id', 'long'), field('s', { type: 'struct', fields: [field('name', 'string', false), deep] })],
  }
  const good = "{'name': 'a', 'deep': {'max': 1}}"
  const nameless = "{'name': NULL, 'deep': {'max': 1}}"
  const beyond = "{'name': 'a', 'deep': {'max': 10}}"

  it.each<[string, (t: string, value: string) => string]>([
    ['INSERT', (t, v) => `INSERT INTO ${t} VALUES (2, ${v})`],
    ['INSERT OVERWRITE', (t, v) => `INSERT OVERWRITE ${t} SELECT 2, ${v}`],
    ['REPLACE WHERE', (t, v) => `INSERT INTO ${t} REPLACE WHERE id = 2 SELECT 2, ${v}`],
    ['UPDATE', (t, v) => `UPDATE ${t} SET s = ${v} WHERE id = 1`],
    [
      'MERGE that updates',
      (t, v) => `MERGE INTO ${t} USING (SELECT 1 AS id, ${v} AS s) q ON ${t}.id = q.id WHEN MATCHED THEN UPDATE SET *`,
    ],
    [
      'MERGE that inserts',
      (t, v) => `MERGE INTO ${t} USING (SELECT 2 AS id, ${v} AS s) q ON ${t}.id = q.id WHEN NOT MATCHED THEN INSERT *`,
    ],
  ])('hold for %s', async (_, statement) => {
    const t = await ruled(design)
    await lake.sql(`INSERT INTO ${t} VALUES (1, ${good})`)
    const [before] = [await rowsOf(t)]
    await expect(lake.sql(statement(t, nameless))).rejects.toMatchObject({
      code: 'VALUE_NULL',
      details: { column: 's.name', rows: 1 },
    })
    await expect(lake.sql(statement(t, beyond))).rejects.toMatchObject({
      code: 'CONSTRAINT_VIOLATED',
      details: { constraint: 'invariant of s.deep.max', rows: 1 },
    })
    expect(await rowsOf(t)).toEqual(before)
    await lake.sql(statement(t, good))
  })

  it('hold for lines, of which those that break them may be rejected', async () => {
    const t = await ruled(design)
    const good = { id: 1, s: { name: 'a', deep: { max: 9 } } }
    const bad = [
      { id: 2, s: { name: null, deep: { max: 1 } } },
      { id: 3, s: { name: 'a', deep: { max: 10 } } },
    ]
    const table = lake.table(t)
    for (const one of bad) {
      await expect(table.append(lines(one))).rejects.toMatchObject({
        code: expect.stringMatching('VALUE_NULL|CONSTRAINT_VIOLATED|ROWS_INVALID') as string,
      })
      await expect(table.ingest(lines(one))).rejects.toMatchObject({
        code: expect.stringMatching('VALUE_NULL|CONSTRAINT_VIOLATED|ROWS_INVALID') as string,
      })
    }
    expect(await table.ingest(lines(good, ...bad), { onError: 'reject' })).toMatchObject({ rows: 1, rejected: 2 })
    expect(await rowsOf(t)).toEqual([good])
  })
})
