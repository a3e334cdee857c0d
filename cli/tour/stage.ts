import type { Context } from '../context.js'

/** Where the tour is told: plain lines, each check with its mark; colours on a terminal only. */
export interface Stage {
  /** Checks so far, and those that did not hold. */
  readonly checked: number
  readonly failed: number
  title(text: string): Promise<void>
  step(text: string): Promise<void>
  say(text: string): Promise<void>
  check(holds: boolean, text: string): Promise<void>
}

export function createStage({ out }: Pick<Context, 'out'>): Stage {
  const paint = (code: number, text: string) => (out.hasColors ? `\x1b[${code}m${text}\x1b[0m` : text)
  let checked = 0
  let failed = 0
  let steps = 0
  return {
    get checked() {
      return checked
    },
    get failed() {
      return failed
    },
    title: async (text) => await out.write(`\n${paint(BOLD, text)}\n\n`),
    step: async (text) => await out.write(`${paint(BOLD, `${++steps}. ${text}`)}\n`),
    say: async (text) => await out.write(`${text}\n`),
    check: async (holds, text) => {
      checked++
      if (!holds) failed++
      await out.write(`  ${holds ? paint(GREEN, '✓') : paint(RED, '✗')} ${text}\n`)
    },
  }
}

const BOLD = 1
const RED = 31
const GREEN = 32
