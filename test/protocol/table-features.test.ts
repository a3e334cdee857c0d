import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { featureNamed, featureRows, TABLE_FEATURES } from '../../src/protocol/table-features.js'

const page = await readFile(new URL('../../docs/features.md', import.meta.url), 'utf8')

describe('the table of features', () => {
  it('is the one in docs/features.md', () => {
    expect(page.split('\n').filter((line) => line.startsWith('| `'))).toEqual(featureRows())
  })

  it('names each feature once, other names too', () => {
    const names = TABLE_FEATURES.flatMap(({ name, aliases = [] }) => [name, ...aliases])
    expect(new Set(names).size).toBe(names.length)
    for (const { name, aliases = [] } of TABLE_FEATURES) for (const other of aliases) expect(featureNamed(other)?.name).toBe(name)
  })

  it('knows what each depends on', () => {
    for (const { dependsOn = [] } of TABLE_FEATURES) for (const name of dependsOn) expect(featureNamed(name)).toBeDefined()
  })

  it('does not write what it cannot read', () => {
    for (const { name, reads, writes } of TABLE_FEATURES) if (writes) expect(reads, name).toBeTruthy()
  })

  it('lets every feature without a condition of its use be either kept or refused', () => {
    for (const { name, activeWhen, writes } of TABLE_FEATURES) if (!activeWhen) expect(writes, name).not.toBe('whenInactive')
  })
})
