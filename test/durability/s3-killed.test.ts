import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { describe, it } from 'vitest'
import { useCli } from '../cli/cli.js'
import { describeWhen } from '../support/needs.js'
import { sharedFolder } from '../support/peers.js'
import { Producers } from './producers.js'
import { createTable, expectAllThere, Victim, withLake } from './victim.js'

const run = promisify(execFile)
const KILLS = Number(process.env['DELTAIC_TEST_KILLS'] ?? 2)
const SECOND_MS = 1000
const NAME = 'versitygw'
const script = join(process.env['DELTAIC_PEER_SCRIPTS'] || join(sharedFolder, 'peers'), 's3-server.sh')
const programs = process.env['DELTAIC_PEERS'] ?? ''
const isThere = programs !== '' && existsSync(join(programs, NAME, 'bin')) && existsSync(script)

const cli = useCli()

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { readonly port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

describe('an S3 server that is killed and started again under load', () => {
  describeWhen(isThere, `DELTAIC_PEERS holds no ${NAME}`, NAME, () => {
    it('has every acknowledged row once', { timeout: 120_000 + KILLS * 30_000 }, async () => {
      const port = await freePort()
      const control = async (action: string) => run('bash', [script, NAME, programs, String(port), action], { env: process.env })
      await control('start')
      try {
        const credentials = { accessKeyId: 'deltaic', secretAccessKey: 'deltaic-secret' }
        const s3 = { endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', credentials }
        const root = `s3://deltaic/test/${randomUUID()}`
        await withLake(root, { s3 }, createTable)
        const env = {
          AWS_REGION: s3.region,
          AWS_ACCESS_KEY_ID: credentials.accessKeyId,
          AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        }
        const server = new Victim(cli, root, ['--s3-endpoint', s3.endpoint], env)
        await server.start()
        const producers = new Producers(4, () => server.url)
        for (let kills = 0; kills < KILLS; kills++) {
          await sleep(SECOND_MS)
          await control('kill')
          await sleep(SECOND_MS / 2)
          await control('start')
        }
        await sleep(SECOND_MS)
        await producers.finish()
        await server.kill()
        await withLake(root, { s3 }, async (lake) => expectAllThere(lake, producers))
        console.log(`${NAME} was killed ${KILLS} times: ${producers.acked.length} batches acknowledged`)
      } finally {
        await control('stop')
        await rm(join(programs, NAME, String(port)), { recursive: true, force: true })
      }
    })
  })
})
