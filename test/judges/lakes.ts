// Where lakehouses for the judges lie: on disk, and on every S3 server that commits can be trusted to.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe } from 'vitest'
import { type Lakehouse, type LakehouseOptions, openLakehouse, type TableSnapshot } from '../../src/index.js'
import { digestOfArrow } from '../support/arrow-digest.js'
import { describeWhen } from '../support/needs.js'
import { S3_REASON, s3Environment, s3Servers } from '../support/s3-servers.js'

const temp = mkdtempSync(join(tmpdir(), 'deltaic-judges-'))
afterAll(() => rmSync(temp, { recursive: true, force: true }))

const safeServers = s3Servers.filter((server) => server.safe)

/** A place for tables, and how other engines reach it. */
export interface Place {
  readonly name: string
  readonly root: string
  readonly options: LakehouseOptions
  readonly env: Record<string, string>
}

const common: LakehouseOptions = { threads: 2, memoryLimitBytes: 2 ** 29 }

export const onDisk: Place = { name: 'on disk', root: join(temp, 'lake'), options: common, env: {} }

const onS3: readonly Place[] = safeServers.map((server) => ({
  name: `on ${server.name}`,
  root: `s3://${server.bucket}/judges-${globalThis.crypto.randomUUID()}`,
  options: { ...common, tempFolder: join(temp, server.name), s3: s3Settings(server) },
  env: s3Environment(server),
}))

function s3Settings({ endpoint, region, accessKeyId, secretAccessKey }: (typeof safeServers)[number]) {
  return { endpoint, region, credentials: { accessKeyId, secretAccessKey } }
}

/** One suite for each place: disk and S3. An engine that reaches one server at a time takes the first. */
export function describeEachPlace(
  body: (place: Place) => void,
  options: { readonly servers?: number; readonly s3?: readonly [boolean, string] } = {},
): void {
  const [reachable, why] = options.s3 ?? [true, '']
  describe(onDisk.name, () => body(onDisk))
  if (!reachable || onS3.length === 0) describeWhen(false, reachable ? S3_REASON : why, 'on S3', () => undefined)
  else for (const place of onS3.slice(0, options.servers)) describe(place.name, () => body(place))
}

/** A lakehouse for all tests of a suite. */
export function sharedLake(place: Place): () => Promise<Lakehouse> {
  let opened: Promise<Lakehouse> | undefined
  afterAll(async () => {
    await (await opened)?.close()
  })
  return () => {
    opened ??= openLakehouse(place.root, place.options)
    return opened
  }
}

let tables = 0

/** A name that no other table of the place has. */
export const freshName = (stem: string) => `${stem.replace(/\W+/g, '_')}_${++tables}`

export async function digestAt(snapshot: Promise<TableSnapshot>): Promise<string> {
  return digestOfArrow(await (await snapshot).scan().toArrow())
}
