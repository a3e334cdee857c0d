import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { noProgress } from '../../cli/output/progress-bar.js'
import { complete } from '../../cli/shell/completion.js'
import { readDotCommand } from '../../cli/shell/dot-commands.js'
import { historyFile } from '../../cli/shell/history-file.js'
import { runShell } from '../../cli/shell/shell.js'
import { type Lakehouse, openLakehouse } from '../../src/index.js'

let folder = ''
let lake: Lakehouse
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'deltaic-shell-'))
  lake = await openLakehouse(join(folder, 'lake'))
})
afterAll(async () => {
  await lake.close()
  await rm(folder, { recursive: true, force: true })
})

const CTRL_C = '\x03'
const CTRL_D = '\x04'
const UP = '\x1b[A'

/** A session on a terminal made of two streams. */
function open(history = historyFile('')) {
  const input = new PassThrough()
  const output = new PassThrough()
  const stop = new AbortController()
  let screen = ''
  output.setEncoding('utf8').on('data', (text: string) => {
    screen += text
  })
  const ended = runShell({
    input,
    output,
    lake,
    root: 'lake',
    format: 'csv',
    history,
    signal: stop.signal,
    progress: () => noProgress,
    print: async (result, format) => {
      try {
        for await (const chunk of result.bytes(format)) output.write(chunk)
      } finally {
        await result.close()
      }
    },
  })
  let read = 0
  return {
    stop,
    ended,
    type: (keys: string) => input.write(keys),
    /** Waits until the screen shows `text` behind what was found before. */
    shows: async (text: string) => {
      for (let at = -1; ; ) {
        at = screen.indexOf(text, read)
        if (at >= 0) {
          read = at + text.length
          return
        }
        await sleep(10)
      }
    },
  }
}

describe('the shell', () => {
  it('runs statements over several lines until Ctrl-D', async () => {
    const shell = open()
    await shell.shows('deltaic> ')
    shell.type('CREATE TABLE t (a INT);\n')
    await shell.shows('deltaic> ')
    shell.type("INSERT INTO t VALUES (1),\n(2); SELECT sum(a) AS total, ';' AS s\n")
    await shell.shows('...> ')
    shell.type('FROM t;\n')
    await shell.shows('total,s\n3,;\n')
    await shell.shows('deltaic> ')
    shell.type(CTRL_D)
    await shell.ended
  })

  it('answers commands, goes on after a mistake, and leaves at .quit', async () => {
    const shell = open()
    shell.type('.help\n')
    await shell.shows('.mode FORMAT')
    shell.type('.tables\n')
    await shell.shows('\nt,')
    shell.type('\\d t\n')
    await shell.shows('\na,')
    shell.type('SELECT nonsense;\n')
    await shell.shows('error: ')
    shell.type('.mode json\nSELECT 1 AS one;\n')
    await shell.shows('"one":1')
    shell.type('.quit\n')
    await shell.ended
  })

  it('clears what is typed at Ctrl-C', async () => {
    const shell = open()
    await shell.shows('deltaic> ')
    shell.type('SELECT 1 AS\n')
    await shell.shows('...> ')
    shell.type(`wrong${CTRL_C}`)
    await shell.shows('^C')
    shell.type("SELECT 'fine' AS x;\n")
    await shell.shows('x\nfine\n')
    shell.type(CTRL_D)
    await shell.ended
  })

  it('stops a running statement at Ctrl-C and goes on', async () => {
    const shell = open()
    await shell.shows('deltaic> ')
    shell.type('SELECT count(*) FROM range(4000000) a, range(4000000) b WHERE (a.range * b.range) % 7 = 3;\n')
    await sleep(500)
    shell.type(CTRL_C)
    await shell.shows('interrupted')
    shell.type("SELECT 'still here' AS x;\n")
    await shell.shows('still here')
    shell.type(CTRL_D)
    await shell.ended
  })

  it('rejects with the reason when the process is to stop', async () => {
    const shell = open()
    await shell.shows('deltaic> ')
    shell.stop.abort(new Error('to stop'))
    await expect(shell.ended).rejects.toThrow('to stop')
  })

  it('remembers statements, each as one, for the next session', async () => {
    const path = join(folder, 'history')
    const first = open(historyFile(path))
    await first.shows('deltaic> ')
    first.type('SELECT\n  7 AS\n  seven;\n')
    await first.shows('seven\n7\n')
    first.type(CTRL_D)
    await first.ended
    expect(await readFile(path, 'utf8')).toBe('SELECT   7 AS   seven;\n')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const second = open(historyFile(path))
    await second.shows('deltaic> ')
    second.type(`${UP}\n`)
    await second.shows('seven\n7\n')
    second.type(CTRL_D)
    await second.ended
  })
})

describe('completion', () => {
  beforeAll(async () => {
    await lake.sql('CREATE TABLE page_views (url STRING, user_id BIGINT); CREATE TABLE people (uid INT, age INT)')
  })

  it.each([
    ['', '.d', ['.describe', '.detail']],
    ['', '\\d peo', ['people']],
    ['', '.describe p', ['page_views', 'people']],
    ['', 'SELECT * FROM p', ['page_views', 'people']],
    ['', 'SELECT u', ['uid', 'url', 'user_id']],
    ['', 'SELECT * FROM people WHERE u', ['uid']],
    ['SELECT *\nFROM page_views\n', 'WHERE US', ['user_id']],
    ['', 'SELECT * FROM page_views v, people p WHERE v.u', ['v.url', 'v.user_id']],
    ['', 'SELECT * FROM people WHERE people.a', ['people.age']],
    ['', 'SELECT * FROM people WHERE x.', []],
    ['', 'SELECT ', []],
  ])('of %j and %j is %j', async (typed, line, names) => {
    expect((await complete(lake, typed, line))[0].toSorted()).toEqual(names)
  })
})

describe('historyFile', () => {
  it('is empty where nothing can be read, and works where nothing can be written', async () => {
    await writeFile(join(folder, 'file'), '')
    const history = historyFile(join(folder, 'file', 'history'))
    expect(history.load()).toEqual([])
    history.save(['SELECT 1;'])
    expect(history.load()).toEqual([])
  })
})

describe('readDotCommand', () => {
  it.each([
    ['SELECT 1', undefined],
    ['\\d', { kind: 'run', statement: 'SHOW TABLES' }],
    ['\\d "odd', { kind: 'run', statement: 'DESCRIBE """odd"' }],
    ['.history t;', { kind: 'run', statement: 'DESCRIBE HISTORY "t"' }],
    ['.describe', { kind: 'say', text: '.describe needs the name of a table\n' }],
    ['.mode csv', { kind: 'format', format: 'csv' }],
    ['.mode parquet', { kind: 'say', text: '.mode takes table, json, ndjson, csv, markdown\n' }],
    ['\\d+ t', { kind: 'run', statement: 'DESCRIBE DETAIL "t"' }],
    ['\\dv', { kind: 'run', statement: 'SHOW VIEWS' }],
    ['\\q', { kind: 'quit' }],
  ])('reads %s', (line, request) => {
    expect(readDotCommand(line)).toEqual(request)
  })
})
