import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { useCli } from './cli.js'

const cli = useCli()

describe('the commands on a table', () => {
  beforeAll(async () => {
    await cli.run(['sql', `CREATE TABLE seen (url STRING COMMENT 'path', views BIGINT NOT NULL, day DATE) PARTITIONED BY (day)`])
    await cli.run([
      'sql',
      `INSERT INTO seen VALUES ('/a', 1, DATE '2026-11-01'); INSERT INTO seen VALUES ('/b', 9007199254740993, DATE '2026-11-01')`,
    ])
  })

  it('create makes a table as SQL would', async () => {
    const words = ['create', 'made', "url STRING NOT NULL COMMENT 'a, b', price DECIMAL(10,2), day DATE", '--partition-by', 'day']
    const made = await cli.run([...words, '--property', 'delta.checkpointInterval=20', '--comment', "it's one"])
    expect(made).toMatchObject({ code: 0, stdout: 'created made, version 0\n' })
    const described = JSON.parse((await cli.run(['describe', 'made', '-o', 'json'])).stdout)
    expect(described).toMatchObject({
      description: "it's one",
      partitionColumns: ['day'],
      properties: { 'delta.checkpointInterval': '20' },
      columns: [{ name: 'url', nullable: false, comment: 'a, b' }, { type: 'decimal(10,2)' }, { partition: true }],
    })
    expect(await cli.run(words)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error: .*made/) })
    expect(await cli.run([...words, '--if-not-exists', '-o', 'json'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"created":false'),
    })
  })

  it('tables lists them in every format', async () => {
    expect((await cli.run(['tables'])).stdout).toContain('seen')
    const [first] = JSON.parse((await cli.run(['tables', '-o', 'json'])).stdout) as { name: string }[]
    expect(first?.name).toBe('made')
    expect((await cli.run(['tables', '-o', 'csv'])).stdout).toMatch(/^name,uri\nmade,/)
    expect((await cli.run(['-o', 'ndjson', 'tables'])).stdout).toMatch(/^\{"name":"made",.*\}\n\{"name":"seen",.*\}\n$/)
    expect((await cli.run(['tables', '-o', 'markdown'])).stdout).toMatch(/^\| name \| uri \|\n\| --- \| --- \|\n\| made/)
  })

  it('describe tells columns and sizes for people', async () => {
    const { stdout } = await cli.run(['describe', 'seen'])
    for (const part of [
      'views',
      'long',
      'path',
      '2 rows in 2 files',
      'partitioned by day',
      'version        2',
      'reader 1, writer 2',
    ])
      expect(stdout).toContain(part)
  })

  it('history tells the newest first', async () => {
    expect((await cli.run(['history', 'seen'])).stdout).toMatch(/CREATE TABLE/)
    const commits = JSON.parse((await cli.run(['history', 'seen', '--limit', '2', '-o', 'json'])).stdout) as { version: number }[]
    expect(commits.map(({ version }) => version)).toEqual([2, 1])
  })

  it('a plan is read line by line, and as JSON by programs', async () => {
    const plan = "EXPLAIN SELECT url FROM seen WHERE day = DATE '2026-11-02'"
    expect((await cli.run(['sql', plan])).stdout).toMatch(/^seen \(version 2\)\n {2}files considered: 2, read: 0, skipped: 2.*\n/)
    const rows = JSON.parse((await cli.run(['sql', plan, '-o', 'json'])).stdout) as { rows?: unknown[] } | unknown[]
    expect(JSON.stringify(rows)).toContain('"explain_key":"seen (version 2)"')
  })

  it('diff tells what turned a version into another', async () => {
    await cli.run(['sql', "CREATE TABLE fed (id BIGINT) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')"])
    await cli.run(['sql', 'INSERT INTO fed VALUES (1), (2); DELETE FROM fed WHERE id = 1'])
    expect((await cli.run(['diff', 'fed', '1', '2', '-o', 'csv'])).stdout).toMatch(
      /^id,_change_type,_commit_version,_commit_timestamp\n1,delete,2,/,
    )
    expect((await cli.run(['diff', 'fed', '0', '--summary', '-o', 'csv'])).stdout).toBe(
      'version,change,rows\n1,insert,2\n2,delete,1\n',
    )
    expect((await cli.run(['diff', 'fed', '2', '1'])).code).toBe(2)
  })

  it('sql answers exactly in formats for programs', async () => {
    const query = ['sql', 'SELECT url, views FROM seen ORDER BY url']
    expect((await cli.run([...query, '-o', 'csv'])).stdout).toBe('url,views\n/a,1\n/b,9007199254740993\n')
    expect((await cli.run([...query, '-o', 'json'])).stdout).toMatch(/\/b.*9007199254740993/s)
    expect((await cli.run([...query, '-o', 'ndjson'])).stdout.trimEnd().split('\n')).toHaveLength(2)
    expect((await cli.run([...query, '-o', 'markdown'])).stdout).toContain('| /a | 1 |')
    expect((await cli.run(query)).stdout).toContain('│ /a')
  })

  it('sql runs several statements and prints each result', async () => {
    const { stdout, code } = await cli.run(['sql', 'SELECT 1 AS a; -- ;\nSELECT 2 AS b;', '-o', 'csv'])
    expect([code, stdout]).toEqual([0, 'a\n1\nb\n2\n'])
  })

  it('sql reads statements from a file and from stdin', async () => {
    await writeFile(join(cli.folder(), 'count.sql'), 'SELECT count(*) AS n FROM seen;\n')
    expect((await cli.run(['sql', '-f', 'count.sql', '-o', 'csv'])).stdout).toBe('n\n2\n')
    expect((await cli.run(['sql', '-', '-o', 'csv'], { stdin: 'SELECT 3 AS n' })).stdout).toBe('n\n3\n')
    expect((await cli.run(['sql', '-o', 'csv'], { stdin: 'SELECT 4 AS n' })).stdout).toBe('n\n4\n')
  })

  it('at shows the table as it was', async () => {
    expect(await cli.run(['at', 'seen', '--version', '1', '-o', 'csv'])).toMatchObject({
      stdout: 'url,views,day\n/a,1,2026-11-01\n',
      stderr: 'version 1: all rows\n',
    })
    const query = ['at', 'seen', 'SELECT count(*) AS n FROM seen s;', '-o', 'csv']
    expect((await cli.run([...query, '--version', '1'])).stdout).toBe('n\n1\n')
    expect((await cli.run([...query, '--version', '0'])).stdout).toBe('n\n0\n')
    const soon = new Date(
      JSON.parse((await cli.run(['history', 'seen', '--limit', '1', '-o', 'json'])).stdout)[0].timestampMs,
    ).toISOString()
    expect((await cli.run([...query, '--timestamp', soon])).stdout).toBe('n\n2\n')
  })

  it('at leaves the query its own WITH', async () => {
    const words = (query: string) => ['at', 'seen', query, '--version', '1', '-o', 'csv']
    expect((await cli.run(words('WITH x AS (SELECT url FROM seen) SELECT count(*) AS n FROM x, seen'))).stdout).toBe('n\n1\n')
    const recursive =
      '/* up */ WITH RECURSIVE up(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM up WHERE i < 3) SELECT i, url FROM up, seen ORDER BY i'
    expect((await cli.run(words(recursive))).stdout).toBe('i,url\n1,/a\n2,/a\n3,/a\n')
    expect((await cli.run(words('SELECT count(*) AS n FROM seen WHERE url IN (SELECT url FROM "seen")'))).stdout).toBe('n\n1\n')
  })

  it('optimize joins files and changes no answer', async () => {
    const sum = async () => (await cli.run(['sql', 'SELECT sum(views)::VARCHAR AS s FROM seen', '-o', 'csv'])).stdout
    const before = await sum()
    expect((await cli.run(['optimize', 'seen'])).stdout).toMatch(/^2 files → 1 file, .* → .*, version 3, /)
    expect(await sum()).toBe(before)
    expect((await cli.run(['compact', 'seen'])).stdout).toMatch(/^nothing to do/)
    const again = JSON.parse(
      (await cli.run(['optimize', 'seen', '--where', "day = DATE '2026-11-01'", '--target-file-size', '64MB', '-o', 'json']))
        .stdout,
    )
    expect(again).toMatchObject({ version: 3, filesAdded: 0, filesRemoved: 0 })
  })

  it('restore makes the table what it was, and checkpoint writes its state', async () => {
    const sum = async () => (await cli.run(['sql', 'SELECT count(*) AS n FROM seen', '-o', 'csv'])).stdout
    expect((await cli.run(['restore', 'seen', '--version', '1'])).stdout).toMatch(
      /^version 4 is what version 1 was: 1 file \(.*\) came back, 1 file \(.*\) left\n$/,
    )
    expect(await sum()).toBe('n\n1\n')
    expect(JSON.parse((await cli.run(['restore', 'seen', '--version', '3', '-o', 'json'])).stdout)).toMatchObject({
      version: 5,
      restoredVersion: 3,
    })
    expect((await cli.run(['restore', 'seen', '--version', '3'])).stdout).toBe('nothing to do: version 5 is what version 3 was\n')
    expect(await sum()).toBe('n\n2\n')
    expect((await cli.run(['checkpoint', 'seen'])).stdout).toMatch(/^version 5: \d+ actions, /)
    expect((await cli.run(['checkpoint', 'seen', '-o', 'csv'])).stdout).toMatch(
      /^version,actions,bytes,elapsedMs\n5,\d+,\d+,\d+\n$/,
    )
  })

  it('undo takes back what a commit added, with proof, and brings it back', async () => {
    const create = "CREATE TABLE kept (n BIGINT) TBLPROPERTIES ('delta.enableRowTracking' = 'true')"
    await cli.run(['sql', `${create}; INSERT INTO kept VALUES (1), (2); INSERT INTO kept VALUES (3), (4); OPTIMIZE kept`])
    const dry = await cli.run(['undo', 'kept', '--versions', '2', '--dry-run'])
    expect(dry.stdout).toMatch(/^\S+\.parquet {2}2 rows\n2 rows of the 2 that version 2 added would go, from 1 file\n$/)
    expect((await cli.run(['undo', 'kept', '--versions', '1..2', '--where', 'n = 3', '--proof', 'table'])).stdout).toMatch(
      /^version 4: 1 row of the 4 that versions 1 to 2 added went, from 1 file\nproof: 1 row (\w{16}) in the commit, 1 \1 as they were written: the same\nthe table: 4 rows \w{16} before, 3 \w{16} after: /,
    )
    expect(
      JSON.parse((await cli.run(['undo', 'kept', '--versions', '4', '--views', 'skip', '-o', 'json'])).stdout),
    ).toMatchObject({
      rowsRestored: 1,
    })
    expect((await cli.run(['undo', 'kept', '--versions', '2..1'])).code).toBe(2)
    expect((await cli.run(['undo', 'seen', '--versions', '1'])).code).toBe(3)
  })

  it('lookup gives rows of a view by key', async () => {
    const made = 'CREATE MATERIALIZED VIEW by_day AS SELECT url, day, sum(views) AS views FROM seen GROUP BY url, day'
    await cli.run(['sql', made])
    const found = await cli.run(['lookup', 'by_day', 'url=/a,day=2026-11-01', '-o', 'json'])
    expect(JSON.parse(found.stdout)).toMatchObject([{ url: '/a', views: 1 }])
    expect((await cli.run(['lookup', 'by_day', 'url=/none,day=2026-11-01'])).code).toBe(3)
  })

  it('vacuum lists and deletes what no kept version needs', async () => {
    expect(await cli.run(['vacuum', 'seen', '--retain', '1ms'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('force'),
    })
    const short = ['vacuum', 'seen', '--retain', '1ms', '--force']
    expect((await cli.run([...short, '--dry-run'])).stdout).toMatch(/^(day=.*\.parquet\n){2}2 files, .* would be deleted\n$/)
    expect(JSON.parse((await cli.run([...short, '-o', 'json'])).stdout)).toMatchObject({ filesDeleted: 2, foldersDeleted: 0 })
    expect((await cli.run(['vacuum', 'seen'])).stdout).toMatch(/^nothing to do/)
    expect((await cli.run(['sql', 'SELECT count(*)::VARCHAR AS n FROM seen', '-o', 'csv'])).stdout).toBe('n\n2\n')
  })

  it('export writes a table into a file, whole or not at all', async () => {
    const file = (name: string) => join(cli.folder(), name)
    const told = await cli.run(['export', 'seen', file('a.csv'), '--columns', 'url,day', '--where', "url = '/a'"])
    expect(told).toMatchObject({ code: 0, stdout: expect.stringMatching(/^1 row of version \d+ into .*a\.csv, 2\d B, /) })
    expect(await readFile(file('a.csv'), 'utf8')).toBe('url,day\n/a,2026-11-01\n')
    expect(await cli.run(['export', 'seen', file('a.csv')])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--force'),
    })
    const again = await cli.run([
      ...['export', 'seen', file('a.csv'), '--force', '--format', 'ndjson'],
      '--where',
      "url = '/a'",
      '-o',
      'json',
    ])
    expect(JSON.parse(again.stdout)).toMatchObject({ rows: 1, bytes: 42 })
    expect(await readFile(file('a.csv'), 'utf8')).toBe('{"url":"/a","views":1,"day":"2026-11-01"}\n')
    expect((await cli.run(['export', 'seen', file('all.parquet')])).code).toBe(0)
    expect((await cli.run(['ingest', 'seen_again', file('all.parquet'), '--create'])).code).toBe(0)
    expect((await cli.run(['sql', 'SELECT count(*) AS n FROM seen_again', '-o', 'csv'])).stdout).toBe('n\n2\n')
    await cli.run(['sql', 'DROP TABLE seen_again'])
    expect((await cli.run(['export', 'nope', file('b.csv')])).code).toBe(3)
    expect((await cli.run(['export', 'seen', file('b')])).code).toBe(2)
    expect((await cli.run(['export', 'seen', file('b.csv'), '--where', "1 / (url = 'x')::INT = 'y'"])).code).toBe(1)
    expect((await readdir(cli.folder())).filter((name) => name.startsWith('b') || name.endsWith('.part'))).toEqual([])
  })

  it('check-store finds a disk safe and leaves nothing behind', async () => {
    const folder = await mkdtemp(join(cli.folder(), 'store-'))
    const { code, stdout } = await cli.run(['check-store', folder])
    expect([code, stdout]).toEqual([0, expect.stringContaining('kept every commit')])
    expect((await readdir(folder, { recursive: true })).filter((name) => !name.startsWith('_deltaic_probe'))).toEqual([])
    expect(JSON.parse((await cli.run(['check-store', folder, '--thorough', '-o', 'json'])).stdout)).toMatchObject({
      safe: true,
      sequential: 'ok',
    })
    await rm(folder, { recursive: true })
  })
})

describe('the commands on views', () => {
  it('list, refresh and rebuild them', async () => {
    await cli.run(['sql', `CREATE TABLE hits (url STRING); INSERT INTO hits VALUES ('/a')`])
    await cli.run(['sql', 'CREATE MATERIALIZED VIEW per_url AS SELECT url, count(*) AS n FROM hits GROUP BY url'])
    await cli.run(['sql', `INSERT INTO hits VALUES ('/a'), ('/b')`])
    const stale = await cli.run(['sql', 'SELECT n FROM per_url', '--stale', '-o', 'csv'])
    expect(stale).toMatchObject({ stdout: 'n\n1\n', stderr: expect.stringContaining('per_url is ') })
    expect(JSON.parse((await cli.run(['views', '-o', 'json'])).stdout)).toContainEqual(
      expect.objectContaining({ name: 'per_url', state: 'hits 1/2' }),
    )
    expect(await cli.run(['refresh', 'per_url'])).toMatchObject({ code: 0, stdout: expect.stringContaining('2 rows in, 1 out') })
    expect((await cli.run(['refresh', 'per_url'])).stdout).toContain('is up to its sources')
    expect((await cli.run(['rebuild', 'per_url', '-o', 'json'])).stdout).toContain('"rowsAdded":2')
    expect(await cli.run(['refresh', 'nope', 'per_url'])).toMatchObject({ code: 3, stdout: expect.stringContaining('per_url: ') })
  })
})
