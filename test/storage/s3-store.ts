import { randomUUID } from 'node:crypto'
import { S3Store } from '../../src/storage/s3.js'
import type { S3Settings } from '../../src/storage/s3-client.js'
import type { S3TestServer } from '../support/s3-servers.js'

/** A store on the server with a random prefix. A contended put may wait for seconds on a server that polls its locks. */
export function storeOn(server: S3TestServer, settings: S3Settings & { readonly prefix?: string } = {}): S3Store {
  const { endpoint, bucket, region, accessKeyId, secretAccessKey } = server
  const credentials = { accessKeyId, secretAccessKey }
  return new S3Store({
    bucket,
    prefix: `test/${randomUUID()}`,
    endpoint,
    region,
    credentials,
    requestTimeoutMs: 30_000,
    ...settings,
  })
}
