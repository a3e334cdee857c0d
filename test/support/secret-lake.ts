import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Lakehouse, openLakehouse } from '../../src/index.js'

/** A word that no answer may hold. */
export const SECRET = 'the-secret-of-this-machine'

/** A lakehouse with a table `t` of one row, and beside it a file that nobody may read through it. */
export interface SecretLake extends AsyncDisposable {
  /** Holds `lake` and `secret.csv`. */
  readonly folder: string
  readonly secret: string
  readonly lake: Lakehouse
}

export async function openSecretLake(): Promise<SecretLake> {
  const folder = await mkdtemp(join(tmpdir(), 'deltaic-secret-'))
  const secret = join(folder, 'secret.csv')
  await writeFile(secret, `word\n${SECRET}\n`)
  const lake = await openLakehouse(join(folder, 'lake'))
  await lake.sql("CREATE TABLE t (id INT, s STRING) PARTITIONED BY (s); INSERT INTO t VALUES (1, 'a')")
  const close = async () => {
    await lake.close()
    await rm(folder, { recursive: true, force: true })
  }
  return { folder, secret, lake, [Symbol.asyncDispose]: close }
}
