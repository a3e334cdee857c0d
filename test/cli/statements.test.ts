import { describe, expect, it } from 'vitest'
import { saysSomething, splitStatements } from '../../cli/statements.js'

describe('splitStatements', () => {
  it.each([
    ['SELECT 1; SELECT 2;', ['SELECT 1', ' SELECT 2'], ''],
    ['SELECT 1', [], 'SELECT 1'],
    ["SELECT ';'; x", ["SELECT ';'"], ' x'],
    ["SELECT 'it''s; here'; x", ["SELECT 'it''s; here'"], ' x'],
    ['SELECT "a;b", `c;d`; x', ['SELECT "a;b", `c;d`'], ' x'],
    ["SELECT E'\\';'; x", ["SELECT E'\\';'"], ' x'],
    ["SELECT '\\'; x", ["SELECT '\\'"], ' x'],
    ['SELECT 1 -- no; end\n; x', ['SELECT 1 -- no; end\n'], ' x'],
    ['SELECT /* a; /* b; */ c; */ 1; x', ['SELECT /* a; /* b; */ c; */ 1'], ' x'],
    ['SELECT $$a;b$$, $q$;$$;$q$; x', ['SELECT $$a;b$$, $q$;$$;$q$'], ' x'],
    ['SELECT $1; x', ['SELECT $1'], ' x'],
    ["SELECT 'open; still", [], "SELECT 'open; still"],
    ['SELECT /* open; still', [], 'SELECT /* open; still'],
    [';; -- nothing\n;', [], ''],
  ])('cuts %j', (text, statements, rest) => {
    expect(splitStatements(text)).toEqual({ statements, rest })
  })

  it('loses nothing: the pieces put together are the text', () => {
    const text = "SELECT ';'; -- a;\nINSERT INTO t VALUES (1); SELECT"
    const { statements, rest } = splitStatements(text)
    expect([...statements, rest].join(';')).toBe(text)
  })
})

describe('saysSomething', () => {
  it.each([
    ['', false],
    [' \n\t', false],
    ['-- only a comment', false],
    ['/* only /* a */ comment */ \n', false],
    ['SELECT 1', true],
    ['-- a\nSELECT', true],
    ["'", true],
    ['- 1', true],
  ])('of %j is %s', (text, says) => {
    expect(saysSomething(text)).toBe(says)
  })
})
