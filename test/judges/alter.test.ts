import { describe, expect, it } from 'vitest'
import type { Protocol } from '../../src/protocol/actions.js'
import type { DataType, StructField } from '../../src/protocol/schema.js'
import { supportedFeatures } from '../../src/protocol/table-features.js'
import { describeWhen } from '../support/needs.js'
import { peers, sharedSpark } from '../support/peers.js'
import { done, located, sparkJudge } from './engines.js'
import { digestAt, freshName, onDisk, sharedLake } from './lakes.js'

const TIMEOUT = { timeout: 300_000 }

/** Statements over `t`, in SQL that both take. */
const STORIES: Readonly<Record<string, readonly string[]>> = {
  'a table that gets column mapping later': [
    `CREATE TABLE t (id INT, p STRING, s STRUCT<x: INT, y: STRING>, l ARRAY<STRUCT<q: INT>>, gone INT) USING delta PARTITIONED BY (p)`,
    `INSERT INTO t SELECT 1, 'a', named_struct('x', 1, 'y', 'u'), array(named_struct('q', 5)), 9`,
    `ALTER TABLE t SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.minReaderVersion' = '2', 'delta.minWriterVersion' = '5')`,
    `INSERT INTO t SELECT 2, 'b', named_struct('x', 2, 'y', 'v'), array(named_struct('q', 6)), 8`,
    `ALTER TABLE t RENAME COLUMN p TO part`,
    `ALTER TABLE t RENAME COLUMN s.x TO \`x y\``,
    `ALTER TABLE t ADD COLUMNS (s.z DATE AFTER y, l.element.r STRING, n DECIMAL(10,2) FIRST)`,
    `INSERT INTO t (id, part) VALUES (3, NULL)`,
    `ALTER TABLE t DROP COLUMN gone`,
    `ALTER TABLE t ADD COLUMN gone STRING COMMENT 'again'`,
    `INSERT INTO t (id, part, gone) VALUES (4, 'a', 'back')`,
    `ALTER TABLE t DROP COLUMNS (s.y)`,
    `ALTER TABLE t ALTER COLUMN id AFTER part`,
    `ALTER TABLE t ALTER COLUMN id COMMENT 'the key'`,
    `DELETE FROM t WHERE id = 2`,
    `UPDATE t SET gone = 'set' WHERE id = 1`,
  ],
  'a table with mapped columns from the beginning': [
    `CREATE TABLE t (\`a b\` INT, m MAP<STRING, STRUCT<v: INT>>, \`p,q\` DATE) USING delta PARTITIONED BY (\`p,q\`) TBLPROPERTIES ('delta.columnMapping.mode' = 'id')`,
    `INSERT INTO t SELECT 1, map('k', named_struct('v', 7)), DATE '2026-01-01'`,
    `ALTER TABLE t RENAME COLUMN \`p,q\` TO day`,
    `ALTER TABLE t RENAME COLUMN m.value.v TO w`,
    `ALTER TABLE t ADD COLUMN m.value.u DOUBLE`,
    `INSERT INTO t SELECT 2, map('k', named_struct('w', 8, 'u', 0.5D)), DATE '2026-01-02'`,
    `ALTER TABLE t DROP COLUMN \`a b\``,
    `INSERT INTO t SELECT map('z', named_struct('w', 9, 'u', 1.5D)), NULL`,
  ],
  'a table whose types widen': [
    `CREATE TABLE t (b TINYINT, i INT, f FLOAT, d DATE, p INT, c DECIMAL(5,2), l ARRAY<INT>, m MAP<SMALLINT, STRUCT<x: INT>>) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.enableTypeWidening' = 'true')`,
    `INSERT INTO t SELECT CAST(1 AS TINYINT), 1, CAST(1.1 AS FLOAT), DATE '2026-01-01', 1, 1.25BD, array(1), map(CAST(1 AS SMALLINT), named_struct('x', 1))`,
    `ALTER TABLE t ALTER COLUMN b TYPE SMALLINT`,
    `ALTER TABLE t ALTER COLUMN b TYPE BIGINT`,
    `ALTER TABLE t ALTER COLUMN i TYPE DOUBLE`,
    `ALTER TABLE t ALTER COLUMN f TYPE DOUBLE`,
    `ALTER TABLE t SET TBLPROPERTIES ('delta.feature.timestampNtz' = 'supported')`,
    `ALTER TABLE t ALTER COLUMN d TYPE TIMESTAMP_NTZ`,
    `ALTER TABLE t ALTER COLUMN p TYPE BIGINT`,
    `ALTER TABLE t ALTER COLUMN c TYPE DECIMAL(10,4)`,
    `ALTER TABLE t ALTER COLUMN l.element TYPE BIGINT`,
    `ALTER TABLE t ALTER COLUMN m.key TYPE INT`,
    `ALTER TABLE t ALTER COLUMN m.value.x TYPE BIGINT`,
    `INSERT INTO t SELECT 3000000000, 2.5D, 0.1D, TIMESTAMP_NTZ '2026-01-02 03:04:05', 3000000000, 123456.7891BD, array(3000000000), map(70000, named_struct('x', 3000000000))`,
    `DELETE FROM t WHERE p = 1 AND i > 5`,
  ],
  'a clustered table': [
    `CREATE TABLE t (id INT, s STRUCT<a: INT>, n STRING) USING delta CLUSTER BY (s.a, n)`,
    `INSERT INTO t SELECT 1, named_struct('a', 1), 'x'`,
    `INSERT INTO t SELECT 2, named_struct('a', 2), 'y'`,
    `OPTIMIZE t`,
    `INSERT INTO t SELECT 3, NULL, 'z'`,
    `OPTIMIZE t`,
    `DELETE FROM t WHERE id = 1`,
    `ALTER TABLE t CLUSTER BY (id)`,
    `OPTIMIZE t FULL`,
    `INSERT INTO t SELECT 4, NULL, 'w'`,
    `OPTIMIZE t`,
    `ALTER TABLE t CLUSTER BY NONE`,
    `INSERT INTO t SELECT 5, NULL, 'v'`,
  ],
  'a table that takes columns along': [
    `CREATE TABLE t (id INT, v STRING, s STRUCT<a: INT>) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableRowTracking' = 'true')`,
    `INSERT INTO t SELECT 1, 'a', named_struct('a', 1)`,
    `MERGE WITH SCHEMA EVOLUTION INTO t AS target USING (SELECT 1 AS id, DATE '2026-01-01' AS d UNION ALL SELECT 2, NULL) AS src ON target.id = src.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *`,
    `MERGE WITH SCHEMA EVOLUTION INTO t AS target USING (SELECT 3 AS id, CAST(1.5 AS DOUBLE) AS x) AS src ON target.id = src.id WHEN NOT MATCHED THEN INSERT *`,
    `MERGE WITH SCHEMA EVOLUTION INTO t AS target USING (SELECT 3 AS id, 'w' AS w, 9 AS unused) AS src ON target.id = src.id WHEN MATCHED THEN UPDATE SET w = src.w`,
    `INSERT INTO t (id, x) VALUES (4, 2.5)`,
  ],
  'a table that is tidied up': [
    `CREATE TABLE t (id INT, p INT, v STRING) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true', 'delta.enableChangeDataFeed' = 'true')`,
    `INSERT INTO t SELECT 1, 1, 'a'`,
    `INSERT INTO t SELECT 2, 1, 'b'`,
    `INSERT INTO t VALUES (3, 1, 'c'), (4, 2, 'd'), (5, 1, 'e')`,
    `OPTIMIZE t ZORDER BY (id, v)`,
    `DELETE FROM t WHERE id = 3`,
    `REORG TABLE t APPLY (PURGE)`,
    `UPDATE t SET v = 'z' WHERE id = 5`,
    `RESTORE TABLE t TO VERSION AS OF 4`,
    `INSERT INTO t SELECT 6, 2, 'f'`,
    `OPTIMIZE t WHERE p = 2`,
    `DELETE FROM t WHERE p = 1`,
  ],
  'a table that numbers its rows': [
    `CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 5), n BIGINT GENERATED BY DEFAULT AS IDENTITY, v INT) USING delta`,
    `INSERT INTO t (v) VALUES (1)`,
    `INSERT INTO t (v) VALUES (2)`,
    `INSERT INTO t (n, v) VALUES (100, 3)`,
    `INSERT INTO t (v) VALUES (4)`,
    `UPDATE t SET v = 9 WHERE v = 2`,
    `DELETE FROM t WHERE v = 1`,
    `ALTER TABLE t ALTER COLUMN n SYNC IDENTITY`,
    `INSERT INTO t (v) VALUES (5)`,
  ],
  'a table with rules and properties': [
    `CREATE TABLE t (id INT, s STRUCT<x: INT>, name STRING) USING delta`,
    `INSERT INTO t SELECT 1, named_struct('x', 1), 'a'`,
    `ALTER TABLE t ADD CONSTRAINT Small CHECK (id < 100 AND name <> 'no')`,
    `ALTER TABLE t SET TBLPROPERTIES ('delta.appendOnly' = 'true', 'mine' = 'x', 'delta.logRetentionDuration' = 'interval 9 days')`,
    `INSERT INTO t SELECT 2, NULL, 'b'`,
    `ALTER TABLE t UNSET TBLPROPERTIES ('delta.appendOnly', 'mine')`,
    `ALTER TABLE t SET TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')`,
    `ALTER TABLE t ALTER COLUMN name SET DEFAULT 'none'`,
    `INSERT INTO t (id) VALUES (3)`,
    `ALTER TABLE t ALTER COLUMN name DROP DEFAULT`,
    `ALTER TABLE t DROP CONSTRAINT small`,
    `INSERT INTO t SELECT 200, NULL, 'no'`,
    `ALTER TABLE t SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')`,
    `DELETE FROM t WHERE id = 2`,
  ],
}

describeWhen(peers.available('spark'), peers.reason('spark'), 'ALTER TABLE by Spark and by deltaic', () => {
  const spark = sharedSpark()
  const lake = sharedLake(onDisk)

  describe.each(Object.entries(STORIES))('of %s', (_, story) => {
    it('leaves the same table, whoever does what', TIMEOUT, async () => {
      const open = await lake()
      const bySpark = async (text: string) => void done(await (await spark()).run({ sql: text }))
      const byUs = async (text: string) => (await open.sql(text)).close()
      const names = { spark: freshName('spark'), ours: freshName('ours'), turns: freshName('turns'), back: freshName('back') }
      const run = async (name: string, index: number, isOurs: boolean) => {
        const text = story[index] ?? ''
        const there = isOurs ? name : `delta.\`${located(open.table(name).uri)}\``
        const said = text.replace(/\bt\b/, there)
        await (isOurs ? byUs(forUs(said)) : bySpark(said))
      }
      for (const index of story.keys()) {
        await run(names.spark, index, false)
        await run(names.ours, index, true)
        await run(names.turns, index, index % 2 === 1)
        await run(names.back, index, index % 2 === 0)
      }
      const judge = sparkJudge(await spark())
      const { digest } = await judge.read(open.table(names.spark).uri)
      expect(digest).toBeDefined()
      const theirs = await outline(names.spark)
      for (const name of Object.values(names)) {
        expect(await digestAt(open.table(name).snapshot()), `${name} read by deltaic`).toBe(digest)
        expect((await judge.read(open.table(name).uri)).digest, `${name} read by Spark`).toBe(digest)
        expect(await outline(name), name).toEqual(theirs)
      }

      async function outline(name: string) {
        const { schema, partitionColumns, properties, protocol } = await open.table(name).snapshot()
        const operations = (await open.table(name).history()).map(({ operation }) => operation)
        return {
          schema: plain(schema),
          partitionColumns,
          configuration: Object.fromEntries(
            Object.entries(properties)
              .filter(([key]) => !key.includes('materializedRow'))
              .toSorted(),
          ),
          writerFeatures: promised(protocol),
          operations: operations.map((one) => one.replace('CREATE TABLE AS SELECT', 'CREATE TABLE')),
        }
      }
    })
  })
})

/** What a protocol promises, beyond what every writer has always kept. */
function promised(protocol: Protocol): readonly string[] {
  const always = ['appendOnly', 'invariants']
  return supportedFeatures(protocol)
    .filter((name) => !always.includes(name))
    .toSorted()
}

/** Spark's literals in the engine's SQL. */
function forUs(text: string): string {
  return text
    .replaceAll(/named_struct\(([^()]*)\)/g, (_, members: string) => {
      const parts = members.split(', ')
      return `{${parts.flatMap((part, index) => (index % 2 === 0 ? [`${part}: ${parts[index + 1]}`] : [])).join(', ')}}`
    })
    .replaceAll(/\bmap\(((?:CAST\([^)]*\)|[^,{])+), (\{[^}]*\})\)/g, 'MAP {$1: $2}')
    .replaceAll(/\barray\(([^()]*)\)/g, '[$1]')
    .replaceAll(/(\d)(BD|D)\b/g, '$1')
    .replaceAll('TIMESTAMP_NTZ ', text.startsWith('INSERT') ? 'TIMESTAMP ' : 'TIMESTAMP_NTZ ')
    .replaceAll(' USING delta', '')
}

/** A schema without what each engine chooses by itself. */
function plain(type: DataType): unknown {
  if (typeof type === 'string') return type
  if (type.type === 'struct') return type.fields.map(plainField)
  if (type.type === 'array') return [plain(type.elementType)]
  return { key: plain(type.keyType), value: plain(type.valueType) }
}

function plainField({ name, type, nullable, metadata }: StructField) {
  const { 'delta.columnMapping.physicalName': _, EXISTS_DEFAULT: __, ...others } = metadata
  return { name, nullable, type: plain(type), metadata: others }
}
