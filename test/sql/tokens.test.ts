import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { splitStatements, type Token, tokenize } from '../../src/sql/tokens.js'

const kinds = (text: string) => tokenize(text).map(({ kind, value }) => [kind, value])

/** What lies between tokens: white space and comments. */
function gaps(text: string, tokens: readonly Token[]): string[] {
  const ends = [0, ...tokens.map(({ endExclusive }) => endExclusive)]
  return [...tokens.map(({ start }) => start), text.length].map((start, index) => text.slice(ends[index], start))
}

const piece = fc.oneof(
  fc.constantFrom(' ', '\n', '\t', '\r', '-- it\'s; "\n', '/* \' /* ; */ " */', ';', ',', '(', ')', '@', '=>', '::', '.', '->'),
  fc.constantFrom('SELECT', 'größe', '_a$1', 'e', 'E', '1.5e-3', '.5', '1_000', '$1', '$name', '?', '?2', '12.', '0x1F'),
  fc.string().map((text) => `'${text.replaceAll("'", "''")}'`),
  fc.string().map((text) => `"${text.replaceAll('"', '""')}"`),
  fc.string().map((text) => `\`${text.replaceAll('`', '``')}\``),
  fc
    .string()
    .filter((text) => !text.includes('$'))
    .map((text) => `$tag$${text}$tag$`),
  fc.constantFrom("E'a\\'b;'", "e'\\\\'", '$$;$$', "$a$ $$ ' $a$"),
)

describe('tokens', () => {
  it('cover the text: what is between them is white space and comments', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join(' ')
        const tokens = tokenize(text)
        for (const { text: own, start, endExclusive } of tokens) expect(text.slice(start, endExclusive)).toBe(own)
        for (const gap of gaps(text, tokens)) expect(gap).toMatch(/^(\s|--[^\n\r]*|\/\*[\s\S]*\*\/)*$/)
      }),
      { numRuns: 500 },
    )
  })

  it('cover any text, or the text is refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'aE1\'"`$-/*;\n\r\\ ?@.'.split('')), maxLength: 20 }), (text) => {
        let tokens: Token[]
        try {
          tokens = tokenize(text)
        } catch (error) {
          expect(error).toMatchObject({ code: 'SQL_INVALID', details: { position: expect.any(Number) as number } })
          return
        }
        expect(gaps(text, tokens).join('') + tokens.map(({ text: own }) => own).join('')).toHaveLength(text.length)
      }),
      { numRuns: 1000 },
    )
  })

  it.each([
    ["'it''s'", [['string', "it's"]]],
    ['"a ""b"""', [['quoted', 'a "b"']]],
    ['`a ``b`', [['quoted', 'a `b']]],
    [
      "E'a\\'b' x",
      [
        ['string', "E'a\\'b'"],
        ['word', 'x'],
      ],
    ],
    ['$$it\'s; "$$', [['string', 'it\'s; "']]],
    ['$q$ $$ $q$', [['string', ' $$ ']]],
    [
      '$1 $name ? ?3',
      [
        ['parameter', '1'],
        ['parameter', 'name'],
        ['parameter', ''],
        ['parameter', '3'],
      ],
    ],
    [
      'a$b Größe',
      [
        ['word', 'a$b'],
        ['word', 'größe'],
      ],
    ],
    [
      '1.5e-3 .5 1_000',
      [
        ['number', '1.5e-3'],
        ['number', '.5'],
        ['number', '1_000'],
      ],
    ],
    ['/* a /* b */ ; */ x -- y', [['word', 'x']]],
    ['-- y\rx', [['word', 'x']]],
    [
      't@v3',
      [
        ['word', 't'],
        ['symbol', '@'],
        ['word', 'v3'],
      ],
    ],
  ])('read %s', (text, expected) => {
    expect(kinds(text)).toEqual(expected)
  })

  it.each([
    ["'abc", 0],
    ['x "abc', 2],
    ['`', 0],
    ['/* /* */', 0],
    ['a $t$ b', 2],
    ["E'\\'", 1],
  ])('refuse %j, which does not end, at %i', (text, position) => {
    expect(() => tokenize(text)).toThrow(expect.objectContaining({ code: 'SQL_INVALID', details: { position } }) as Error)
  })
})

describe('statements of a text', () => {
  const split = (text: string) =>
    splitStatements(tokenize(text)).map((tokens) => text.slice(tokens[0]?.start, tokens.at(-1)?.endExclusive))

  it('end at a semicolon, though not at one in quotes or comments', () => {
    expect(split(`SELECT ';' -- ;\n; /* ; */ SELECT ";"; SELECT $$;$$`)).toEqual(["SELECT ';'", 'SELECT ";"', 'SELECT $$;$$'])
  })

  it('leave empty ones out', () => {
    expect(split(' ;; -- nothing\n ; /* */')).toEqual([])
    expect(split(';;SELECT 1;;')).toEqual(['SELECT 1'])
  })
})
