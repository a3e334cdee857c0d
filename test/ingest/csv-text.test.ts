import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { csvDialect, csvLineOf, csvLinesOf, csvRecords } from '../../src/ingest/csv-text.js'
import { openWorld } from '../support/world.js'

const world = await openWorld()

async function fileOf(text: string): Promise<string> {
  const path = world.spool.file('csv')
  await world.spool.write(path, Buffer.from(text))
  return path
}

describe('csvDialect', () => {
  it.each([
    ['a,b\n1,2\n', ',', ['a', 'b']],
    ['a;b\n1;2\n', ';', ['a', 'b']],
    ['a\tb,c\n', ',', ['a\tb', 'c']],
    ['a|b', '|', ['a', 'b']],
    ['url\n/a|b\n', ',', ['url']],
    ['"a,b","say ""hi"""\r\n', ',', ['a,b', 'say "hi"']],
    ['"a\nb",c\n', ',', ['a\nb', 'c']],
    ['\ufeffid,v\r\n', ',', ['id', 'v']],
    ['', ',', []],
    ['a,\n', ',', ['a', '']],
  ])('reads the header of %j', async (text, delimiter, header) => {
    expect(await csvDialect(await fileOf(text))).toEqual({ delimiter, header, blankLines: 0 })
  })

  it('passes over blank lines before the header', async () => {
    expect(await csvDialect(await fileOf('\r\n\n\na,b\n'))).toMatchObject({ header: ['a', 'b'], blankLines: 3 })
  })

  it('refuses a header that names a column twice', async () => {
    await expect(csvDialect(await fileOf('a,b,a\n'))).rejects.toMatchObject({ code: 'ROWS_INVALID', details: { column: 'a' } })
  })
})

describe('csvRecords', () => {
  it('finds the line on which each record begins, whatever is in its quotes', async () => {
    const field = fc.constantFrom('x', '', '"q"', '"a\nb"', '"a\r\nb\n"', '"say ""hi\n"""')
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(field, { minLength: 2, maxLength: 3 }), { maxLength: 8 }),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        async (rows, end, ended) => {
          const records = rows.map((row) => row.join(','))
          let line = 1
          const expected = records.map((record) => {
            const at = line
            line += 1 + (record.match(/\n/g)?.length ?? 0)
            return at
          })
          const text = records.join(end) + (ended && records.length > 0 ? end : '')
          const found: number[] = []
          for await (const record of csvRecords(await fileOf(text))) found.push(record.line)
          expect(found).toEqual(expected)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('tells the lines of rows, blank lines and line breaks in quotes counted', async () => {
    const path = await fileOf('\na,b\n"x\ny",1\n\n2,2\n"z\n\n",3\n4,4')
    const dialect = await csvDialect(path)
    expect([...(await csvLinesOf(path, dialect, new Set([0, 1, 2, 3])))]).toEqual([
      [0, 3],
      [1, 6],
      [2, 7],
      [3, 10],
    ])
    expect([await csvLineOf(path, 2), await csvLineOf(path, 3), await csvLineOf(path, 99)]).toEqual([2, 3, 99])
  })
})
