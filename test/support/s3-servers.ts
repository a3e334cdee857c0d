/** A running S3-compatible server that tests may fill. Each test takes a random prefix of its own. */
export interface S3TestServer {
  readonly name: string
  readonly endpoint: string
  readonly bucket: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Whether a conditional put has exactly one winner, always. An unsafe server is there to be refused. */
  readonly safe: boolean
}

const FIELDS = {
  name: 'string',
  endpoint: 'string',
  bucket: 'string',
  region: 'string',
  accessKeyId: 'string',
  secretAccessKey: 'string',
  safe: 'boolean',
} as const satisfies Record<keyof S3TestServer, string>

/** The servers that `DELTAIC_TEST_S3` names: a JSON array of `S3TestServer`. None where it is not set. */
export const s3Servers: readonly S3TestServer[] = parseS3Servers(process.env['DELTAIC_TEST_S3'])

/** The control address of a running Toxiproxy, for cutting and delaying connections. */
export const toxiproxyUrl: string | undefined = process.env['DELTAIC_TEST_TOXIPROXY'] || undefined
export const TOXIPROXY_REASON = 'DELTAIC_TEST_TOXIPROXY is not set'

/** For `describeWhen`: why there is no S3 to test against. */
export const S3_REASON = 'DELTAIC_TEST_S3 names no such server'

/** The environment in which another engine reaches this server. */
export function s3Environment(server: S3TestServer): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: server.endpoint,
    AWS_REGION: server.region,
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
  }
}

/** @throws {TypeError} when `text` is not such an array: a server that goes untested must not go unnoticed. */
export function parseS3Servers(text: string | undefined): S3TestServer[] {
  if (text === undefined || text === '') return []
  const servers: unknown = JSON.parse(text)
  if (!Array.isArray(servers)) throw new TypeError('DELTAIC_TEST_S3 is not a JSON array')
  for (const server of servers as Record<string, unknown>[]) {
    for (const [field, type] of Object.entries(FIELDS)) {
      if (typeof server[field] !== type) throw new TypeError(`DELTAIC_TEST_S3: ${field} is not a ${type}`)
    }
  }
  return servers as S3TestServer[]
}
