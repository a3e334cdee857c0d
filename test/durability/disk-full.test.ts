import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { isDeltaError } from '../../src/base/errors.js'
import { openLakehouse } from '../../src/index.js'
import { describeWhen } from '../support/needs.js'
import { ndjson, rowsOf } from '../support/world.js'

const run = promisify(execFile)

/** A file system of a few megabytes; `undefined` where this user may not make one. */
async function smallDisk(): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'deltaic-small-'))
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', folder])
    return folder
  } catch {
    await rm(folder, { recursive: true })
    return undefined
  }
}

const disk = await smallDisk()

describeWhen(disk !== undefined, 'this user may not mount a file system', 'a disk that is full', () => {
  it('loses no acknowledged row, and takes rows again when there is room', { timeout: 120_000 }, async () => {
    const folder = disk as string
    const tempFolder = await mkdtemp(join(tmpdir(), 'deltaic-temp-'))
    const lake = await openLakehouse(join(folder, 'lake'), { tempFolder, threads: 2, memoryLimitBytes: 2 ** 30 })
    try {
      await lake.sql('CREATE TABLE t (id BIGINT, v STRING)')
      await mkdir(join(folder, 'others'))
      await writeFile(join(folder, 'others/ballast'), Buffer.alloc(4.5 * 2 ** 20))
      const acked: number[] = []
      const failures: unknown[] = []
      const noise = () => Array.from({ length: 6000 }, () => Math.random().toString(36).slice(2)).join('')
      for (let id = 1; failures.length < 3 && id < 500; id++)
        await lake
          .table('t')
          .append(ndjson({ id, v: noise() }), { txn: { appId: 'p', version: id } })
          .then(
            () => acked.push(id),
            (error: unknown) => failures.push(error),
          )
      expect(failures).toHaveLength(3)
      for (const error of failures) expect(isDeltaError(error, 'unavailable', 'limit'), String(error)).toBe(true)
      expect(acked.length).toBeGreaterThan(0)
      const ids = async () => (await rowsOf(lake, 'SELECT id FROM t ORDER BY id')).map(({ id }) => id)
      expect(await ids()).toEqual(acked)

      await rm(join(folder, 'others'), { recursive: true })
      await lake.table('t').append(ndjson({ id: 1000, v: noise() }))
      expect(await ids()).toEqual([...acked, 1000])
    } finally {
      await lake.close()
      await run('umount', [folder])
      await rm(folder, { recursive: true })
      await rm(tempFolder, { recursive: true, force: true })
    }
  })
})
