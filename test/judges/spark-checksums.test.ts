// Spark checks its own replay against the version checksums that deltaic writes, and goes on from them.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { logFilePath } from '../../src/protocol/log-path.js'
import { openStore } from '../../src/storage/open.js'
import { describeWhen } from '../support/needs.js'
import { peers, sharedSpark } from '../support/peers.js'
import { ndjson, openLake } from '../support/world.js'
import { freshName, onDisk } from './lakes.js'

describeWhen(peers.available('spark'), peers.reason('spark'), 'spark', () => {
  // A transaction compares the checksum of the version that it reads with what the log replays to, and a difference is an error.
  const spark = sharedSpark({ 'spark.databricks.delta.incremental.commit.verify': 'true' })
  const sql = async (text: string) => (await spark()).run({ sql: text })

  describe('a version checksum of a table', () => {
    it.each([
      [
        'with deletion vectors and times in commits',
        "'delta.enableDeletionVectors' = 'true', 'delta.enableInCommitTimestamps' = 'true'",
      ],
      ['of row ids', "'delta.enableRowTracking' = 'true', 'delta.checkpointInterval' = '2'"],
    ])('%s is what Spark finds', { timeout: 240_000 }, async (_, properties) => {
      const name = freshName('summed')
      await using lake = await openLake(openStore(onDisk.root))
      await lake.sql(`CREATE TABLE ${name} (id BIGINT, v VARCHAR) TBLPROPERTIES (${properties})`)
      const rows = Array.from({ length: 300 }, (_, id) => ({ id, v: 'x' }))
      await lake.table(name).append(ndjson(...rows), { txn: { appId: 'p', version: 1 } })
      await lake.sql(`DELETE FROM ${name} WHERE id % 9 = 0`)
      await lake.sql(`UPDATE ${name} SET v = 'y' WHERE id % 70 = 0`)
      await lake.close()
      const folder = join(onDisk.root, name)
      const crc = (version: number) => join(folder, logFilePath({ kind: 'checksum', version }))
      expect(JSON.parse(await readFile(crc(3), 'utf8'))).toMatchObject({ numMetadata: 1 })

      const insert = `INSERT INTO delta.\`${folder}\` VALUES (1000, 'spark')`
      expect(await sql(insert)).toMatchObject({ ok: true })
      const theirs = JSON.parse(await readFile(crc(4), 'utf8')) as Record<string, unknown>
      // What Spark carries on is what it took from ours.
      expect(theirs).toMatchObject({ setTransactions: [{ appId: 'p', version: 1 }] })

      await using again = await openLake(openStore(onDisk.root))
      await again.table(name).append(ndjson({ id: 2000, v: 'z' }))
      await again.close()
      const ours = JSON.parse(await readFile(crc(5), 'utf8')) as Record<string, unknown>
      expect(ours).toMatchObject({ numFiles: Number(theirs['numFiles']) + 1 })
      expect(Object.keys(theirs).filter((key) => !(key in ours) && theirs[key] !== null && key !== 'allFiles')).toEqual([])

      // Spark does look.
      await writeFile(crc(5), JSON.stringify({ ...ours, numFiles: 77 }))
      expect(await sql(insert)).toMatchObject({ ok: false })
    })
  })
})
