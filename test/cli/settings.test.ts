import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveSettings, SETTINGS } from '../../cli/settings.js'
import { configFileSource, environmentSource, flagSource } from '../../cli/sources.js'

describe('resolveSettings', () => {
  it('takes the flag, then the environment, then the file, then the default', () => {
    const flags = flagSource({ port: '1' })
    const env = environmentSource({ DELTAIC_PORT: '2', DELTAIC_ROOT: 'from-env' })
    const file = {
      nameOf: String,
      textOf: (name: string) => (({ port: '3', root: 'x', host: 'from-file' }) as Record<string, string>)[name],
    }
    const settings = resolveSettings([flags, env, file])
    expect(settings).toMatchObject({
      port: 1,
      root: 'from-env',
      host: 'from-file',
      output: 'table',
      token: undefined,
      queryTimeout: 60_000,
    })
  })

  it('takes an empty variable for none', () => {
    expect(resolveSettings([environmentSource({ DELTAIC_PORT: '' })]).port).toBe(8080)
  })

  it.each([
    [{ DELTAIC_PORT: '80a' }, 'DELTAIC_PORT is no whole number from 0 to 65535: 80a'],
    [{ DELTAIC_PORT: '65536' }, 'DELTAIC_PORT is no whole number from 0 to 65535: 65536'],
    [{ DELTAIC_OUTPUT: 'xml' }, 'DELTAIC_OUTPUT is none of table, json, ndjson, csv, markdown, arrow, parquet: xml'],
    [{ DELTAIC_QUIET: 'maybe' }, 'DELTAIC_QUIET is neither true nor false: maybe'],
    [{ DELTAIC_S3_ENDPOINT: 'localhost' }, 'DELTAIC_S3_ENDPOINT is no http or https URL: localhost'],
    [{ DELTAIC_MEMORY_LIMIT: 'much' }, 'DELTAIC_MEMORY_LIMIT is no size: much'],
    [{ DELTAIC_QUERY_TIMEOUT: '60' }, 'DELTAIC_QUERY_TIMEOUT is no time: 60'],
  ])('refuses %j by name', (env, message) => {
    expect(() => resolveSettings([environmentSource(env)])).toThrow(message)
  })

  it('reads sizes and times as people write them', () => {
    const settings = resolveSettings([
      environmentSource({ DELTAIC_MEMORY_LIMIT: '2GB', DELTAIC_QUERY_TIMEOUT: '5m', DELTAIC_BODY_LIMIT: '1000' }),
    ])
    expect(settings).toMatchObject({ memoryLimit: 2 * 2 ** 30, queryTimeout: 300_000, bodyLimit: 1000 })
  })

  it('has a variable for each setting, named after it', () => {
    for (const [name, { env }] of Object.entries(SETTINGS)) {
      expect(env.toLowerCase().replaceAll('_', '')).toBe(`deltaic${name.toLowerCase().replace(/ms$/, 'ms')}`)
    }
  })
})

describe('configFileSource', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'deltaic-config-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const read = (text: string) => {
    writeFileSync(join(folder, 'deltaic.json'), text)
    return resolveSettings([configFileSource(folder)])
  }

  it('is empty where there is no file', () => {
    expect(resolveSettings([configFileSource(join(folder, 'nowhere'))]).port).toBe(8080)
  })

  it('reads settings by their names', () => {
    expect(read('{"port": 9000, "quiet": true, "root": "s3://b/lake"}')).toMatchObject({
      port: 9000,
      quiet: true,
      root: 's3://b/lake',
    })
  })

  it.each([
    ['{', /deltaic\.json is not JSON/],
    ['[]', /deltaic\.json is no JSON object/],
    ['{"prot": 1}', /deltaic\.json has an unknown key: prot/],
    ['{"port": [1]}', /deltaic\.json: port is no string, number or boolean/],
    ['{"port": -1}', /deltaic\.json: port is no whole number/],
  ])('refuses %s', (text, message) => {
    expect(() => read(text)).toThrow(message)
  })
})
