/** The command line, the environment or the config file asks for what makes no sense; nothing was done. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly hint: string | undefined

  constructor(message: string, hint?: string) {
    super(message)
    this.hint = hint
  }
}

/** What the command needs from the machine is not to be had. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly code: string
  readonly hint: string | undefined

  constructor(code: string, message: string, hint?: string) {
    super(message)
    this.code = code
    this.hint = hint
  }
}
