/** Statements cut at their semicolons, and what follows the last one. Semicolons are not part of them; blanks and comments are. */
export interface SplitStatements {
  readonly statements: readonly string[]
  /** The start of a statement that has no semicolon yet. */
  readonly rest: string
}

/** Cuts SQL at the semicolons that end statements: not those in strings, quoted names and comments. Statements without a word are left out. */
export function splitStatements(text: string): SplitStatements {
  const statements: string[] = []
  let start = 0
  let at = 0
  while (at < text.length) {
    if (text[at] === ';') {
      statements.push(text.slice(start, at))
      start = ++at
    } else {
      at = tokenEnd(text, at)
    }
  }
  return { statements: statements.filter(saysSomething), rest: text.slice(start) }
}

/** Whether there is more here than blanks and comments. */
export function saysSomething(text: string): boolean {
  let at = 0
  while (at < text.length) {
    const end = tokenEnd(text, at)
    if (!/^(\s|--|\/\*)/.test(text.slice(at, at + 2))) return true
    at = end
  }
  return false
}

/** Where the token that starts at `at` ends, exclusive; the end of the text when it is unfinished. */
function tokenEnd(text: string, at: number): number {
  const found = TOKENS.find(({ opens }) => {
    opens.lastIndex = at
    return opens.test(text)
  })
  if (found === undefined) return at + 1
  const opened = text.slice(at, found.opens.lastIndex)
  return found.endAfter(text, at + opened.length, opened)
}

interface TokenRule {
  readonly opens: RegExp
  readonly endAfter: (text: string, from: number, opened: string) => number
}

const TOKENS: readonly TokenRule[] = [
  { opens: /--/y, endAfter: (text, from) => past(text, '\n', from) },
  { opens: /\/\*/y, endAfter: blockCommentEnd },
  // In E'…' a backslash escapes; elsewhere only a doubled quote does, and that reads as two strings side by side.
  { opens: /(?<![\w$])[eE]'/y, endAfter: escapedStringEnd },
  { opens: /['"`]/y, endAfter: (text, from, quote) => past(text, quote, from) },
  { opens: /(?<![\w$])\$(?:[A-Za-z_]\w*)?\$/y, endAfter: (text, from, tag) => past(text, tag, from) },
  { opens: /\w+/y, endAfter: (_, from) => from },
]

function past(text: string, mark: string, from: number): number {
  const found = text.indexOf(mark, from)
  return found < 0 ? text.length : found + mark.length
}

function escapedStringEnd(text: string, from: number): number {
  const rest = /(?:[^'\\]|\\[\s\S])*'/y
  rest.lastIndex = from
  return rest.test(text) ? rest.lastIndex : text.length
}

/** They nest. */
function blockCommentEnd(text: string, from: number): number {
  const mark = /\/\*|\*\//g
  mark.lastIndex = from
  for (let depth = 1; depth > 0; ) {
    const found = mark.exec(text)
    if (found === null) return text.length
    depth += found[0] === '/*' ? 1 : -1
  }
  return mark.lastIndex
}
