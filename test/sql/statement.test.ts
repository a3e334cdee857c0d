import { describe, expect, it } from 'vitest'
import { parseStatement } from '../../src/sql/statement.js'
import { tokenize } from '../../src/sql/tokens.js'

const parse = (text: string) => parseStatement(text, tokenize(text))
const refused = (code: string, words: string | RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(words) as string }) as Error

describe('queries', () => {
  it.each([
    'SELECT 1',
    'with a AS (SELECT 1) SELECT * FROM a',
    'FROM t',
    'VALUES (1), (2)',
    '(SELECT 1) UNION (SELECT 2)',
    'TABLE t',
  ])('are handed on: %s', (text) => {
    expect(parse(text)).toEqual({ kind: 'query', text })
  })

  it('of other shapes become sources of rows', () => {
    expect(parse('SUMMARIZE t')).toEqual({ kind: 'query', text: 'SELECT * FROM (SUMMARIZE t\n)' })
    expect(parse('DESCRIBE SELECT 1')).toEqual({ kind: 'query', text: 'SELECT * FROM (DESCRIBE SELECT 1\n)' })
    expect(parse('EXPLAIN SELECT 1')).toEqual({ kind: 'explain', text: 'SELECT 1' })
  })
})

describe('CREATE TABLE', () => {
  const nothing = { ifNotExists: false, columns: [], partitionBy: [], comment: undefined, properties: {}, as: undefined }

  it('reads columns with types of any shape, NOT NULL and comments', () => {
    expect(
      parse(
        "CREATE TABLE IF NOT EXISTS `my``t` (id BIGINT NOT NULL COMMENT 'it''s the key', price DECIMAL(10, 2), " +
          '"a b" ARRAY<STRUCT<x: INT, y: MAP<STRING, INT>>> NULL, d STRUCT(a INT, b VARCHAR[]), comment_ TEXT NOT NULL)',
      ),
    ).toEqual({
      ...nothing,
      kind: 'createTable',
      table: { name: 'my`t' },
      ifNotExists: true,
      columns: [
        { name: 'id', type: 'BIGINT', nullable: false, comment: "it's the key" },
        { name: 'price', type: 'DECIMAL(10, 2)', nullable: true, comment: undefined },
        { name: 'a b', type: 'ARRAY<STRUCT<x: INT, y: MAP<STRING, INT>>>', nullable: true, comment: undefined },
        { name: 'd', type: 'STRUCT(a INT, b VARCHAR[])', nullable: true, comment: undefined },
        { name: 'comment_', type: 'TEXT', nullable: false, comment: undefined },
      ],
    })
  })

  it('reads its clauses in any order', () => {
    const clauses = [
      'USING DELTA',
      "COMMENT 'c'",
      'PARTITIONED BY (a, "B")',
      "TBLPROPERTIES ('delta.appendOnly' = 'true', x.y 3)",
    ]
    for (const order of [clauses, clauses.toReversed()])
      expect(parse(`create table t (a int, B int) ${order.join(' ')}`)).toMatchObject({
        partitionBy: ['a', 'B'],
        comment: 'c',
        properties: { 'delta.appendOnly': 'true', 'x.y': '3' },
      })
  })

  it('AS takes all that is left as its query', () => {
    expect(parse('CREATE TABLE t PARTITIONED BY (a) AS SELECT 1 AS a, 2 AS b')).toEqual({
      ...nothing,
      kind: 'createTable',
      table: { name: 't' },
      partitionBy: ['a'],
      as: 'SELECT 1 AS a, 2 AS b',
    })
  })

  it.each([
    ['CREATE OR REPLACE TABLE t (a INT)', 'CREATE OR REPLACE TABLE'],
    ['CREATE VIEW v AS SELECT 1', 'CREATE VIEW'],
    ['CREATE TEMP TABLE t (a INT)', 'CREATE TEMP'],
    ["CREATE TABLE t (a INT) LOCATION '/x'", 'LOCATION'],
    ['CREATE TABLE t (a INT) CLUSTER BY (a)', 'CLUSTER'],
    ['CREATE TABLE t SHALLOW CLONE s', 'SHALLOW'],
    ['CREATE TABLE t (a INT DEFAULT 1)', 'DEFAULT'],
    ['CREATE TABLE t (a INT GENERATED ALWAYS AS IDENTITY)', 'GENERATED'],
    ['CREATE TABLE t (a INT, CONSTRAINT c CHECK (a > 0))', 'constraints'],
    ['CREATE TABLE t (a INT, PRIMARY KEY (a))', 'constraints'],
  ])('names what it lacks: %s', (text, words) => {
    expect(() => parse(text)).toThrow(refused('STATEMENT_UNSUPPORTED', words))
  })

  it.each([
    ['CREATE TABLE', 'expected a table at the end'],
    ['CREATE TABLE t', 'columns, or AS and a query'],
    ['CREATE TABLE t ()', 'expected a column at or near "\\)"'],
    ['CREATE TABLE t (a)', 'expected a type at or near "\\)"'],
    ['CREATE TABLE t (a INT', 'expected \\) at the end'],
    ['CREATE TABLE t (a INT) USING parquet', 'expected DELTA at or near "parquet"'],
    ['CREATE TABLE t (a INT) NONSENSE', 'at or near "NONSENSE"'],
    ['CREATE TABLE t (a INT) AS SELECT 1', 'takes its columns from the query'],
    ['CREATE TABLE t AS', 'expected a query at the end'],
    ['CREATE TABLE t (a INT) COMMENT x', 'a comment in quotes'],
  ])('says what it expected: %s', (text, words) => {
    expect(() => parse(text)).toThrow(refused('SQL_INVALID', words))
  })
})

describe('other statements', () => {
  it.each<[string, object]>([
    ['INSERT INTO t VALUES (1)', { kind: 'insert', table: { name: 't' }, columns: undefined, query: 'VALUES (1)' }],
    [
      'INSERT INTO t (a, "b c") SELECT 1, 2',
      { kind: 'insert', table: { name: 't' }, columns: ['a', 'b c'], query: 'SELECT 1, 2' },
    ],
    ['INSERT INTO t (SELECT 1)', { kind: 'insert', table: { name: 't' }, columns: undefined, query: '(SELECT 1)' }],
    ['INSERT INTO t ((SELECT 1))', { kind: 'insert', table: { name: 't' }, columns: undefined, query: '((SELECT 1))' }],
    ['INSERT INTO t ("select") SELECT 1', { kind: 'insert', table: { name: 't' }, columns: ['select'], query: 'SELECT 1' }],
    ['DESCRIBE t', { kind: 'describe', table: { name: 't' }, what: 'columns' }],
    ['DESC TABLE EXTENDED t', { kind: 'describe', table: { name: 't' }, what: 'columns' }],
    ['DESCRIBE DETAIL main.t', { kind: 'describe', table: { name: 't' }, what: 'detail' }],
    ['DESCRIBE HISTORY t', { kind: 'history', table: { name: 't' }, limit: undefined }],
    ['describe history delta.`/a/b` limit 3', { kind: 'history', table: { location: '/a/b' }, limit: 3 }],
    ['SHOW TABLES', { kind: 'showTables' }],
    ['OPTIMIZE t', { kind: 'optimize', table: { name: 't' }, where: undefined }],
    [
      "COMPACT t WHERE day = DATE '2024-01-01' AND x IN (1, 2)",
      { kind: 'optimize', table: { name: 't' }, where: "day = DATE '2024-01-01' AND x IN (1, 2)" },
    ],
    ['DROP TABLE default.t', { kind: 'dropTable', table: { name: 't' }, ifExists: false }],
    ['drop table if exists `t`', { kind: 'dropTable', table: { name: 't' }, ifExists: true }],
  ])('%s', (text, statement) => {
    expect(parse(text)).toEqual(statement)
  })

  it.each([
    ['INSERT INTO t REPLACE WHERE a = 1 SELECT 1', 'REPLACE WHERE'],
    ['INSERT OVERWRITE t SELECT 1', 'INSERT'],
    ['OPTIMIZE t ZORDER BY (a)', 'ZORDER BY'],
    ['OPTIMIZE t WHERE a = 1 ZORDER BY (a)', 'ZORDER BY'],
    ['SHOW COLUMNS IN t', 'SHOW COLUMNS'],
    ['DROP VIEW v', 'DROP VIEW'],
    ['EXPLAIN ANALYZE SELECT 1', 'EXPLAIN ANALYZE'],
    ...'ALTER CONVERT DELETE MERGE REFRESH REORG RESTORE TRUNCATE UPDATE VACUUM'.split(' ').map((word) => [`${word} x`, word]),
  ] as [string, string][])('names what it lacks: %s', (text, words) => {
    expect(() => parse(text)).toThrow(refused('STATEMENT_UNSUPPORTED', words))
  })

  it.each(['COPY t TO x', 'ATTACH x', 'SET x = 1', 'PRAGMA x', 'INSTALL x'])('refuses %s', (text) => {
    expect(() => parse(text)).toThrow(refused('SQL_FORBIDDEN', 'not allowed'))
  })

  it.each(['nonsense', '1 + 1', "'text'", '"select" 1'])('does not know %s', (text) => {
    expect(() => parse(text)).toThrow(refused('SQL_INVALID', 'expected a statement'))
  })

  it.each([
    ['DESCRIBE t extra', 'the end of the statement'],
    ['DROP TABLE t CASCADE', 'the end of the statement'],
    ['OPTIMIZE t WHERE', 'a condition'],
    ['INSERT INTO', 'a table'],
    ['INSERT INTO t', 'a query or VALUES'],
    ['INSERT INTO t (a) ', 'a query or VALUES'],
    ['SHOW TABLES IN x', 'the end of the statement'],
    ['OPTIMIZE', 'a table'],
  ])('says what it expected: %s', (text, words) => {
    expect(() => parse(text)).toThrow(refused('SQL_INVALID', words))
  })

  it('marks the place in its line', () => {
    expect(() => parse('DROP TABLE\n  t CASCADE')).toThrow(
      expect.objectContaining({
        details: { position: 15 },
        message: expect.stringContaining('at or near "CASCADE"\n\nLINE 2:   t CASCADE\n            ^') as string,
      }) as Error,
    )
  })

  it('knows no schemas but its own names', () => {
    expect(() => parse('DROP TABLE other.t')).toThrow(refused('TABLE_NOT_FOUND', 'no such schema'))
  })
})
