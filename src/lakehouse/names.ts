import { DeltaError } from '../base/errors.js'

/**
 * Checks the name of a table: a word of letters, digits, `_` and `-` that is also the name of its folder.
 *
 * @throws {DeltaError} `NAME_INVALID`.
 */
export function checkTableName(name: string): string {
  if (!/^[\p{L}_][\p{L}\p{N}_-]{0,127}$/u.test(name) || name.startsWith('_delta'))
    throw new DeltaError(
      'NAME_INVALID',
      'not a name for a table',
      { name: name.slice(0, 140) },
      {
        hint: 'begin with a letter or _, go on with letters, digits, _ and -, 128 characters at most',
      },
    )
  return name
}

export function tableExists(name: string): DeltaError {
  const hint = 'choose another name, say IF NOT EXISTS to keep what is there, or DROP TABLE first'
  return new DeltaError('TABLE_EXISTS', 'there is a table of this name', { table: name }, { hint })
}
