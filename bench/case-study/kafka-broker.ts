import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { folderBytes, freePort } from './service.js'

const run = promisify(execFile)

/**
 * A broker: the one that `DELTAIC_TEST_KAFKA` names, which others may use and nobody here ends; else one of its own, by the script
 * `kafka-server.sh` of `DELTAIC_PEER_SCRIPTS` (../shared/peers) with the programs in `DELTAIC_PEERS`.
 */
export class KafkaBroker {
  address = process.env['DELTAIC_TEST_KAFKA'] ?? ''
  private readonly isOurs = !process.env['DELTAIC_TEST_KAFKA']
  private readonly peers = process.env['DELTAIC_PEERS'] ?? ''
  private readonly script = join(process.env['DELTAIC_PEER_SCRIPTS'] ?? resolve('../shared/peers'), 'kafka-server.sh')
  private port = ''

  lacks(): string | undefined {
    if (!this.isOurs || (this.peers !== '' && existsSync(this.script))) return undefined
    return 'there is no broker: name one in DELTAIC_TEST_KAFKA, or a folder for it in DELTAIC_PEERS and its script in DELTAIC_PEER_SCRIPTS'
  }

  version(): string {
    if (!this.isOurs) return 'Kafka (a broker that ran before)'
    const libraries = readdirSync(join(this.peers, 'kafka')).find((name) => name.startsWith('libs-'))
    return `Kafka ${libraries?.slice('libs-'.length) ?? 'unknown'}`
  }

  async start(): Promise<void> {
    if (!this.isOurs) return
    this.port ||= String(await freePort())
    this.address = `127.0.0.1:${this.port}`
    await this.control('start')
  }

  async kill(): Promise<void> {
    if (this.isOurs) await this.control('kill')
  }

  async close(): Promise<void> {
    if (!this.isOurs || this.port === '') return
    await this.control('stop')
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** Absent where the broker is not ours to look into. */
  get pid(): number | undefined {
    const file = join(this.folder, 'pid')
    return this.isOurs && existsSync(file) ? Number(readFileSync(file, 'utf8')) : undefined
  }

  storageBytes(): number | undefined {
    return this.isOurs ? folderBytes(join(this.folder, 'data')) : undefined
  }

  private get folder(): string {
    return join(this.peers, 'kafka', this.port)
  }

  private async control(action: 'start' | 'kill' | 'stop'): Promise<void> {
    await run('bash', [this.script, this.peers, this.port, action])
  }
}
