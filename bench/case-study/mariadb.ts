import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { createConnection, createPool, type Pool, type RowDataPacket } from 'mysql2/promise'
import type { ViewPost } from '../../data/case-stream.js'
import { byHour, type Contestant, HOUR_MS, hourOf, type Pollution, upTo } from './contestant.js'
import { folderBytes, freePort, isInstalled, Service, versionOf } from './service.js'

interface HourRow extends RowDataPacket {
  readonly hour: number
  readonly n: number
}
interface UrlRow extends RowDataPacket {
  readonly url: string
  readonly n: number
}

/**
 * Counters in an RDBMS: a row for each URL and hour. A post is one transaction, with the post's number beside the counters, so that
 * one that comes again counts once. The events themselves are gone.
 */
export class MariaDb implements Contestant {
  readonly name = 'mariadb'
  readonly title = 'MariaDB counters'
  readonly processes = ['mariadbd']
  readonly file = 'mariadb.ts'
  /** How others reach the database, once it is open. */
  login = {}
  private folder = ''
  private server: Service | undefined
  private pool: Pool | undefined
  private paths: readonly string[] = []

  lacks(): string | undefined {
    return isInstalled('mariadbd') ? undefined : 'there is no mariadbd: apt-get install mariadb-server'
  }

  version(): string {
    return `MariaDB ${versionOf('mariadbd')}`
  }

  async open(folder: string, paths: readonly string[]): Promise<void> {
    this.folder = join(folder, 'data')
    this.paths = paths
    const port = await freePort()
    const common = ['--no-defaults', '--user=root', `--datadir=${this.folder}`]
    const made = spawnSync('mariadb-install-db', [...common, '--auth-root-authentication-method=normal', '--skip-test-db'])
    if (made.status !== 0) throw new Error(`mariadb-install-db: ${made.stderr}`)
    const login = { host: '127.0.0.1', port, user: 'root' }
    this.login = { ...login, database: 'study' }
    const here = [
      `--socket=${join(folder, 'm.sock')}`,
      `--pid-file=${join(folder, 'm.pid')}`,
      '--bind-address=127.0.0.1',
      `--port=${port}`,
    ]
    const durable = [
      '--innodb-buffer-pool-size=256M',
      '--innodb-flush-log-at-trx-commit=1',
      '--skip-log-bin',
      '--skip-name-resolve',
    ]
    const grant = ['--skip-grant-tables', '--skip-networking=0']
    this.server = new Service('mariadbd', [...common, ...here, ...durable, ...grant], join(folder, 'log'), async () => {
      await (await createConnection(login)).end()
    })
    await this.server.start()
    const first = await createConnection(login)
    await first.query('CREATE DATABASE study')
    await first.end()
    this.pool = createPool({ ...this.login, connectionLimit: 16, decimalNumbers: true })
    const key = 'url VARCHAR(200) CHARACTER SET ascii COLLATE ascii_bin, hour INT'
    await this.pool.query(`CREATE TABLE views (${key}, n BIGINT NOT NULL, PRIMARY KEY (url, hour)) ENGINE=InnoDB`)
    await this.pool.query('CREATE TABLE posts (producer VARCHAR(50) PRIMARY KEY, sequence BIGINT NOT NULL) ENGINE=InnoDB')
  }

  async post(post: ViewPost): Promise<void> {
    const rows = [...byHour(post, this.paths)].flatMap(([hour, views]) => [...views].map(([url, n]) => [url, hour, n] as const))
    // In one order in every transaction, so that no two wait for each other.
    rows.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] - b[1]))
    const connection = await this.db.getConnection()
    try {
      await connection.beginTransaction()
      const [last] = await connection.query<RowDataPacket[]>('SELECT sequence FROM posts WHERE producer = ?', [post.producer])
      if ((last[0]?.['sequence'] ?? -1) < post.sequence) {
        await connection.query('REPLACE INTO posts VALUES (?, ?)', [post.producer, post.sequence])
        await connection.query('INSERT INTO views VALUES ? ON DUPLICATE KEY UPDATE n = n + VALUES(n)', [rows])
      }
      await connection.commit()
      connection.release()
    } catch (error) {
      connection.destroy()
      throw error
    }
  }

  async ask(url: string): Promise<number> {
    const [rows] = await this.db.query<UrlRow[]>('SELECT sum(n) AS n FROM views WHERE url = ?', [url])
    return rows[0]?.n ?? 0
  }

  async askAsOf(url: string, atMs: number): Promise<number> {
    const [rows] = await this.db.query<HourRow[]>('SELECT hour, n FROM views WHERE url = ?', [url])
    return upTo(
      rows.map(({ hour, n }) => [hour, n] as const),
      atMs,
    )
  }

  async counts(): Promise<ReadonlyMap<string, number>> {
    const [rows] = await this.db.query<UrlRow[]>('SELECT url, sum(n) AS n FROM views GROUP BY url')
    return new Map(rows.map(({ url, n }) => [url, n]))
  }

  async crash(): Promise<void> {
    await this.server?.stop('SIGKILL')
    await this.server?.start()
  }

  /** Nobody knows any more which views were counted twice: what is too many is taken from all URLs of the hour alike. */
  async repair({ fromMs, rows }: Pollution): Promise<void> {
    const hour = hourOf(fromMs + HOUR_MS / 2)
    const [[sum]] = await this.db.query<UrlRow[]>('SELECT sum(n) AS n FROM views WHERE hour = ?', [hour])
    const share = rows / (sum?.n || 1)
    await this.db.query('UPDATE views SET n = n - ROUND(n * ?) WHERE hour = ?', [share, hour])
  }

  pids(): readonly number[] {
    return this.server?.pid === undefined ? [] : [this.server.pid]
  }

  storageBytes(): number {
    return folderBytes(this.folder)
  }

  async close(): Promise<void> {
    await this.pool?.end()
    await this.server?.stop('SIGTERM')
  }

  private get db(): Pool {
    if (!this.pool) throw new Error('not open')
    return this.pool
  }
}
