import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from './errors.js'
import { SETTINGS, type SettingName, type SettingSource, settingNames } from './settings.js'

export const CONFIG_FILE = 'deltaic.json'

/** What was typed. */
export function flagSource(flags: Readonly<Record<string, unknown>>): SettingSource {
  return {
    nameOf: (name) => longFlag(name),
    textOf: (name) => (flags[name] === undefined ? undefined : String(flags[name])),
  }
}

/** An empty variable counts as absent. */
export function environmentSource(env: NodeJS.ProcessEnv): SettingSource {
  return { nameOf: (name) => SETTINGS[name].env, textOf: (name) => env[SETTINGS[name].env] || undefined }
}

/**
 * The file `deltaic.json` in `folder`, where there is one: an object whose keys are the names of settings.
 *
 * @throws {UsageError} for a file that is no such object.
 */
export function configFileSource(folder: string): SettingSource {
  const values = readConfigFile(join(folder, CONFIG_FILE))
  return {
    nameOf: (name) => `${CONFIG_FILE}: ${name}`,
    textOf: (name) => (values[name] === undefined ? undefined : String(values[name])),
  }
}

function readConfigFile(path: string): Readonly<Record<string, string | number | boolean>> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw new UsageError(`${CONFIG_FILE} cannot be read: ${(error as Error).message}`)
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${CONFIG_FILE} is not JSON: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UsageError(`${CONFIG_FILE} is no JSON object`)
  for (const [key, entry] of Object.entries(value)) {
    if (!Object.hasOwn(SETTINGS, key))
      throw new UsageError(`${CONFIG_FILE} has an unknown key: ${key}`, `known keys: ${settingNames().join(', ')}`)
    if (!['string', 'number', 'boolean'].includes(typeof entry))
      throw new UsageError(`${CONFIG_FILE}: ${key} is no string, number or boolean`)
  }
  return value as Record<string, string | number | boolean>
}

function longFlag(name: SettingName): string {
  return /--[a-z0-9-]+/.exec(SETTINGS[name].flags)?.[0] ?? name
}
