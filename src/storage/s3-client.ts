import { Agent } from 'node:http'
import { Agent as TlsAgent } from 'node:https'
import type { S3, S3ClientConfig } from '@aws-sdk/client-s3'
import { DeltaError } from '../base/errors.js'

/** Plain data; may come from a file. Whatever is left out comes from the environment and profiles as AWS's tools read them. */
export interface S3Settings {
  /** @defaultValue `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, then AWS itself */
  readonly endpoint?: string | undefined
  /** @defaultValue `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's; `us-east-1` with an endpoint */
  readonly region?: string | undefined
  /** Whether the bucket stands in the path rather than in the host name. @defaultValue `true` with an endpoint */
  readonly forcePathStyle?: boolean | undefined
  /** @defaultValue the standard chain: environment, profile, web identity, instance */
  readonly credentials?: S3Credentials | undefined
  /**
   * How long the store may be silent before a request counts as lost, in milliseconds. A put gets a second more for each
   * MB that it sends. @defaultValue 10 seconds
   */
  readonly requestTimeoutMs?: number | undefined
  /**
   * How long a reading request is sent again that was throttled, broke off or got no answer, in milliseconds; then it fails with
   * `STORE_UNAVAILABLE`. @defaultValue three times `requestTimeoutMs`
   */
  readonly retryForMs?: number | undefined
}

export interface S3Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

export interface S3Clients {
  /** Sends each request once: a repeated conditional put would be refused by the object that it has itself created. */
  readonly once: S3
  /** Sends a request up to three times. For whatever may be repeated. */
  readonly repeating: S3
}

const CONNECT_MS = 3_000
const REQUEST_MS = 10_000
const SOCKETS_MAX = 64
/** A put slower than this counts as stuck. */
const SLOWEST_BYTES_PER_MS = 1_000

/**
 * The endpoint that these settings lead to; `undefined` is AWS.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` when it is no http or https URL
 */
export function endpointOf(settings: S3Settings): string | undefined {
  const endpoint = settings.endpoint ?? (process.env['AWS_ENDPOINT_URL_S3'] || process.env['AWS_ENDPOINT_URL'] || undefined)
  if (endpoint === undefined || (/^https?:\/\//i.test(endpoint) && URL.canParse(endpoint))) return endpoint
  throw new DeltaError('ARGUMENT_INVALID', 'the S3 endpoint is no http or https URL', {}, { hint: 'write http://host:port' })
}

/** How long a put of this size may take until its answer. */
export function putTimeoutMs(settings: S3Settings, sizeBytes: number): number {
  return (settings.requestTimeoutMs ?? REQUEST_MS) + Math.ceil(sizeBytes / SLOWEST_BYTES_PER_MS)
}

export function retryForMs({ requestTimeoutMs = REQUEST_MS, retryForMs = 3 * requestTimeoutMs }: S3Settings): number {
  return retryForMs
}

/** The clients share connections and credentials; ending one ends the connections of both. Loads the SDK on first use. */
export async function connectS3(settings: S3Settings): Promise<S3Clients> {
  const { S3 } = await import('@aws-sdk/client-s3')
  const repeating = new S3({ ...configOf(settings), maxAttempts: 3 })
  const { requestHandler, credentials, region } = repeating.config
  return { repeating, once: new S3({ ...configOf(settings), requestHandler, credentials, region, maxAttempts: 1 }) }
}

function configOf(settings: S3Settings): S3ClientConfig {
  const { credentials, requestTimeoutMs = REQUEST_MS } = settings
  const endpoint = endpointOf(settings)
  const named = settings.region ?? (process.env['AWS_REGION'] || process.env['AWS_DEFAULT_REGION'] || undefined)
  const region = named ?? (endpoint === undefined ? undefined : 'us-east-1')
  const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
  const agent = { keepAlive: true, maxSockets: SOCKETS_MAX }
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(credentials === undefined ? {} : { credentials: identityOf(credentials) }),
    // Without one the client writes its warnings to the console, where a library has no business.
    logger,
    forcePathStyle: settings.forcePathStyle ?? endpoint !== undefined,
    // The default adds a checksum as a trailer to streams, which some servers refuse.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Waiting for "100 Continue" takes a new connection for each large put, and six seconds on servers that never say it.
    expectContinueHeader: false,
    requestHandler: {
      logger,
      httpAgent: new Agent(agent),
      httpsAgent: new TlsAgent(agent),
      connectionTimeout: CONNECT_MS,
      requestTimeout: requestTimeoutMs,
      // Without this a request that takes too long is only written about, and hangs.
      throwOnRequestTimeout: true,
      // The time between two pieces of a body; the request's own ends with the headers of the answer.
      socketTimeout: requestTimeoutMs,
    },
  }
}

function ignore(): void {}

function identityOf({ accessKeyId, secretAccessKey, sessionToken }: S3Credentials) {
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) }
}
