import fc from 'fast-check'

/** Expressions that no query may have. `{secret}` is the path of a planted file. */
export const EVIL_EXPRESSIONS: readonly string[] = [
  "getenv('HOME')",
  "GetEnv /* x */ ('HOME')",
  '"getenv"(\'HOME\')',
  "main.getenv('HOME')",
  "'HOME'.getenv()",
  "current_setting('temp_directory')",
  "getvariable('x')",
  "nextval('s')",
  'current_query()',
  "(SELECT max(content) FROM read_text('{secret}'))",
  "(SELECT count(*) FROM '{secret}')",
  '(SELECT count(*) FROM "{secret}")',
  "(SELECT count(*) FROM glob('/etc/*'))",
  '(SELECT count(*) FROM duckdb_settings())',
  '(SELECT count(*) FROM sqlite_master)',
  "(SELECT count(*) FROM query('SELECT 1'))",
  "(SELECT count(*) FROM query_table(['t']))",
  "(WITH w AS (FROM read_blob('{secret}')) SELECT count(*) FROM w)",
  "json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
]

/** Sources of rows that no query may have. */
export const EVIL_SOURCES: readonly string[] = [
  "read_text('{secret}')",
  "READ_CSV('{secret}')",
  '"read_blob"(\'{secret}\')',
  "system.main.read_text('{secret}')",
  "read_json_auto(['{secret}'])",
  "read_parquet('{secret}', filename = true)",
  "parquet_metadata('{secret}')",
  "sniff_csv('{secret}')",
  "glob('/etc/*')",
  "'{secret}'",
  '"{secret}"',
  'parquet.`{secret}`',
  'delta.`{secret}`',
  'duckdb_settings()',
  "pragma_table_info('t')",
  'information_schema.tables',
  'sqlite_master',
  'temp.main.t',
  "query('SELECT 1')",
  "query_table('t')",
  "table_changes('{secret}', 0)",
  "range(length(getenv('HOME')))",
]

/** Where a query takes an expression. */
export const EXPRESSION_PLACES: readonly string[] = [
  'SELECT {e}',
  'SELECT {e}::VARCHAR',
  'SELECT id FROM t WHERE s = ({e})::VARCHAR',
  'SELECT id FROM t ORDER BY {e}',
  'SELECT id FROM t LIMIT length(({e})::VARCHAR)',
  'SELECT id FROM t OFFSET length(({e})::VARCHAR)',
  'SELECT count(*) FROM t GROUP BY {e}',
  'SELECT count(*) FROM t GROUP BY ALL HAVING ({e}) IS NOT NULL',
  'SELECT count(*) FROM t GROUP BY ROLLUP (id, {e})',
  'SELECT id FROM t QUALIFY row_number() OVER (ORDER BY {e}) = 1',
  'SELECT sum(id) OVER (PARTITION BY {e}) FROM t',
  'SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN length(({e})::VARCHAR) PRECEDING AND CURRENT ROW) FROM t',
  'SELECT lag(s, 1, ({e})::VARCHAR) OVER (ORDER BY id) FROM t',
  'SELECT sum(id) FILTER (WHERE ({e}) IS NOT NULL) FROM t',
  'SELECT array_agg(s ORDER BY {e}) FROM t',
  'SELECT string_agg(DISTINCT s, ({e})::VARCHAR) FROM t',
  'SELECT list_transform([1, 2], lambda x: {e})',
  'SELECT list_filter([1], x -> ({e}) IS NOT NULL)',
  'SELECT list_reduce([1, 2], lambda x, y: length(({e})::VARCHAR))',
  'SELECT [{e} FOR x IN [1, 2] IF x > 0]',
  'SELECT [1 FOR x IN [1] IF ({e}) IS NOT NULL]',
  "SELECT {'a': {'b': [{e}]}}",
  "SELECT MAP {'a': {e}}",
  'SELECT CASE WHEN ({e}) IS NULL THEN 1 ELSE 2 END',
  'SELECT CASE 1 WHEN 2 THEN {e} END',
  'SELECT coalesce(NULL, {e})',
  'SELECT ({e}) BETWEEN 1 AND 2',
  'SELECT 1 IN (1, {e})',
  'SELECT ({e}) IS DISTINCT FROM NULL',
  'SELECT ([1, 2])[({e})::INT : 2]',
  'SELECT id FROM t WHERE id = ANY (SELECT ({e})::INT)',
  'SELECT * REPLACE (({e})::VARCHAR AS s) FROM t',
  'SELECT COLUMNS(c -> c = ({e})::VARCHAR) FROM t',
  'SELECT s COLLATE NOCASE || ({e})::VARCHAR FROM t',
  'SELECT EXTRACT(year FROM ({e})::TIMESTAMP)',
  'SELECT TRY(({e})::INT)',
  'VALUES ({e})',
  'SELECT * FROM (VALUES (1, {e})) v(a, b)',
  'SELECT * FROM unnest([{e}])',
  'SELECT * FROM range(length(({e})::VARCHAR))',
  'SELECT * FROM t, LATERAL (SELECT {e} AS x)',
  'SELECT * FROM t JOIN t u ON t.id = length(({e})::VARCHAR)',
  'SELECT * FROM t ASOF JOIN t u ON t.id >= length(({e})::VARCHAR)',
  'SELECT 1 UNION ALL SELECT length(({e})::VARCHAR)',
  'WITH w AS (SELECT {e} AS x) SELECT * FROM w',
  'WITH w AS MATERIALIZED (SELECT {e} AS x) SELECT 1',
  'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + length(({e})::VARCHAR) FROM r WHERE n < 2) SELECT * FROM r',
  "FROM t PIVOT (max(({e})::VARCHAR) FOR s IN ('a'))",
  'SELECT id FROM t TABLESAMPLE 100% WHERE ({e}) IS NOT NULL',
  'SELECT DISTINCT ON ({e}) id FROM t',
  'EXPLAIN SELECT {e}',
  'DESCRIBE SELECT {e}',
  'SUMMARIZE SELECT {e} AS x',
  // A version, a time, a range of changes.
  'SELECT * FROM t AT (VERSION => length(({e})::VARCHAR))',
  'SELECT * FROM t AT (TIMESTAMP => ({e})::TIMESTAMP)',
  "SELECT * FROM table_changes('t', length(({e})::VARCHAR))",
  "SELECT * FROM table_changes('t', 0, length(({e})::VARCHAR))",
  // Statements that change rows or rules.
  'INSERT INTO t SELECT 7, ({e})::VARCHAR',
  'INSERT INTO t VALUES (7, ({e})::VARCHAR)',
  'INSERT INTO t (id) VALUES (length(({e})::VARCHAR))',
  'INSERT OVERWRITE t SELECT 7, ({e})::VARCHAR',
  "INSERT INTO t REPLACE WHERE s = ({e})::VARCHAR SELECT 7, 'a'",
  "INSERT INTO t REPLACE WHERE s = 'a' SELECT 7, ({e})::VARCHAR",
  'DELETE FROM t WHERE s = ({e})::VARCHAR',
  'UPDATE t SET s = ({e})::VARCHAR',
  "UPDATE t SET s = 'b' WHERE s = ({e})::VARCHAR",
  'MERGE INTO t USING (SELECT ({e})::VARCHAR AS s) u ON t.s = u.s WHEN MATCHED THEN DELETE',
  'MERGE INTO t USING t u ON t.s = ({e})::VARCHAR WHEN MATCHED THEN DELETE',
  'MERGE INTO t USING t u ON t.id = u.id WHEN MATCHED AND ({e}) IS NOT NULL THEN DELETE',
  'MERGE INTO t USING t u ON t.id = u.id WHEN MATCHED THEN UPDATE SET s = ({e})::VARCHAR',
  'MERGE INTO t USING t u ON t.id = u.id WHEN NOT MATCHED THEN INSERT (id, s) VALUES (1, ({e})::VARCHAR)',
  'CREATE TABLE loot AS SELECT {e} AS x',
  'CREATE OR REPLACE TABLE t AS SELECT {e} AS x',
  'CREATE TABLE loot (a STRING DEFAULT ({e}))',
  'CREATE TABLE loot (a STRING, b STRING GENERATED ALWAYS AS ({e}))',
  'CREATE TABLE loot (a STRING, CONSTRAINT c CHECK (({e}) IS NOT NULL))',
  'ALTER TABLE t ADD CONSTRAINT c CHECK (({e}) IS NOT NULL)',
  'ALTER TABLE t ALTER COLUMN s SET DEFAULT ({e})',
  'OPTIMIZE t WHERE s = ({e})::VARCHAR',
  'REORG TABLE t WHERE s = ({e})::VARCHAR APPLY (PURGE)',
  'RESTORE TABLE t TO VERSION AS OF length(({e})::VARCHAR)',
]

/** Where a query takes a source of rows. */
export const SOURCE_PLACES: readonly string[] = [
  'SELECT * FROM {f}',
  'FROM {f}',
  'FROM {f} SELECT 1',
  'SELECT 1 FROM t, {f}',
  'SELECT 1 FROM t JOIN {f} ON true',
  'SELECT 1 FROM t LEFT JOIN {f} ON false',
  'SELECT 1 FROM t POSITIONAL JOIN {f}',
  'SELECT 1 FROM (SELECT * FROM (SELECT * FROM {f}))',
  'SELECT 1 FROM t, LATERAL (SELECT * FROM {f})',
  'SELECT id FROM t WHERE EXISTS (FROM {f})',
  'SELECT id FROM t WHERE id IN (SELECT 1 FROM {f})',
  'SELECT (SELECT 1 FROM {f})',
  'SELECT list_transform([1], lambda x: (SELECT 1 FROM {f}))',
  'WITH w AS (FROM {f}) SELECT * FROM w',
  'WITH a AS (SELECT 1), w AS (FROM {f}) SELECT * FROM a',
  'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT 2 FROM {f}, r WHERE n < 2) SELECT * FROM r',
  'SELECT 1 UNION SELECT 1 FROM {f}',
  'SELECT 1 EXCEPT SELECT 1 FROM {f}',
  'FROM (PIVOT (FROM {f}) ON 1 USING count(*))',
  'FROM (UNPIVOT (FROM {f}) ON COLUMNS(*))',
  'SUMMARIZE SELECT * FROM {f}',
  'DESCRIBE SELECT * FROM {f}',
  'EXPLAIN SELECT * FROM {f}',
  'SELECT * FROM (DESCRIBE SELECT * FROM {f})',
  'INSERT INTO t SELECT 7, (SELECT max(x)::VARCHAR FROM {f} AS q(x))',
  'CREATE TABLE loot AS SELECT * FROM {f}',
  'CREATE OR REPLACE TABLE t AS SELECT * FROM {f}',
  'MERGE INTO t USING {f} AS u ON true WHEN MATCHED THEN DELETE',
  'DELETE FROM t WHERE id IN (SELECT 1 FROM {f})',
  'UPDATE t SET s = (SELECT max(s) FROM {f})',
]

/** Each evil expression and source in each of its places; every one has to be refused. */
export function everyAttack(): readonly string[] {
  return [
    ...EXPRESSION_PLACES.flatMap((place) => EVIL_EXPRESSIONS.map((evil) => place.replace('{e}', () => evil))),
    ...SOURCE_PLACES.flatMap((place) => EVIL_SOURCES.map((evil) => place.replace('{f}', () => evil))),
  ]
}

/** Harmless expressions around another one. */
const WRAPPINGS: readonly string[] = [
  'coalesce({e}, NULL)',
  '(SELECT {e})',
  '(SELECT x FROM (SELECT {e} AS x))',
  '(WITH w AS (SELECT {e} AS x) SELECT x FROM w)',
  '(SELECT max(x) FROM (VALUES ({e})) v(x))',
  'list_transform([1], lambda x: {e})[1]',
  '[{e} FOR x IN [1]][1]',
  "{'a': {e}}['a']",
  'CASE WHEN true THEN {e} END',
  '(SELECT first(x) OVER () FROM (SELECT {e} AS x) LIMIT 1)',
  '(SELECT x FROM t, LATERAL (SELECT {e} AS x) LIMIT 1)',
  "MAP {'k': {e}}['k']",
  'if(true, {e}, NULL)',
]

/** What may stand between two words. */
const BLANKS: readonly string[] = [' ', '\n', '\t', '\r\n', '/**/', '/* ; */', '/* /* */ */', '-- x\n', '\u00a0', '  ']

/** A statement with something evil in it, anywhere and in any dress: every one has to be refused. */
export const attack: fc.Arbitrary<string> = fc
  .record({
    place: fc.constantFrom(...EXPRESSION_PLACES),
    evil: fc.constantFrom(...EVIL_EXPRESSIONS, ...EVIL_SOURCES.map((source) => `(SELECT count(*) FROM ${source})`)),
    wrappings: fc.array(fc.constantFrom(...WRAPPINGS), { maxLength: 4 }),
    blanks: fc.array(fc.constantFrom(...BLANKS), { minLength: 3, maxLength: 3 }),
    cased: fc.boolean(),
  })
  .map(({ place, evil, wrappings, blanks, cased }) => {
    const wrapped = wrappings.reduce((inner, wrapping) => wrapping.replace('{e}', () => inner), evil)
    const spaced = ` ${wrapped} `.replaceAll(' ', () => blanks[wrapped.length % blanks.length] ?? ' ')
    const words = place.replace(/\b[A-Z]{3,}\b/g, (word) => (cased ? word.toLowerCase() : word))
    return words.replace('{e}', () => (outsideStrings(wrapped) ? spaced : wrapped))
  })

/** Blanks in strings are part of them. */
function outsideStrings(text: string): boolean {
  return !/'[^']* [^']*'/.test(text)
}

/** Pieces of statements, in any order: whatever they come to, they may not show the file. */
export const scramble: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.constantFrom(...EVIL_SOURCES, ...EVIL_EXPRESSIONS),
      fc.constantFrom(
        ...[...EXPRESSION_PLACES, ...SOURCE_PLACES].flatMap((place) => place.split(/(?=\b(?:FROM|WHERE|SELECT|AS)\b)/)),
      ),
      fc.constantFrom(
        ';',
        ',',
        '(',
        ')',
        "'",
        '"',
        '`',
        '$$',
        "E'",
        '\\',
        '--',
        '/*',
        '*/',
        '$1',
        '?',
        '@v1',
        'UNION',
        '::',
        '.',
        '\0',
        '‘',
      ),
    ),
    { minLength: 1, maxLength: 8 },
  )
  .map((pieces) =>
    pieces.join(' ').replaceAll('{e}', "(SELECT max(content) FROM read_text('{secret}'))").replaceAll('{f}', "'{secret}'"),
  )
