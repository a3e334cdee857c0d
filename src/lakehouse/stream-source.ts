import { createHash } from 'node:crypto'
import { DeltaError } from '../base/errors.js'
import { RECORD_PARTS, type RecordColumns, type RecordPart } from '../ingest/kafka/record-lines.js'
import type { KafkaAddress, KafkaLogin } from '../ingest/kafka/source.js'

/** How brokers are logged in to. */
export interface StreamLogin {
  readonly mechanism: KafkaLogin['mechanism']
  readonly username: string
  /** The variable of the environment that holds the password; its name begins so. @defaultValue 'DELTAIC_KAFKA_PASSWORD' */
  readonly passwordVariable?: string | undefined
}

const PASSWORD_VARIABLE = 'DELTAIC_KAFKA_PASSWORD'

/**
 * Reads `kafka://host:port[,host:port…]/topic`; `kafkas:` is over TLS.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID`, also for a login whose password is not in the environment.
 */
export function kafkaAddress(uri: string, login?: StreamLogin): KafkaAddress {
  const [, secure, hosts = '', topic = ''] = /^kafka(s?):\/\/([^/@\s]+)\/([A-Za-z0-9._-]{1,249})\/?$/i.exec(uri) ?? []
  const brokers = hosts.split(',').map((host) => (/:\d+$/.test(host) ? host : `${host}:9092`))
  if (hosts === '' || topic === '')
    throw new DeltaError(
      'ARGUMENT_INVALID',
      'this names no topic',
      {},
      { hint: 'write kafka://host:port/topic, or kafkas:// for TLS' },
    )
  return { brokers, topic, tls: secure?.toLowerCase() === 's', sasl: login && withPassword(login) }
}

function withPassword({ mechanism, username, passwordVariable = PASSWORD_VARIABLE }: StreamLogin): KafkaLogin {
  // Whoever may define a stream must not send other secrets of this process to a broker of his choice.
  const password = passwordVariable.startsWith(PASSWORD_VARIABLE) ? process.env[passwordVariable] : undefined
  if (password === undefined)
    throw new DeltaError('ARGUMENT_INVALID', 'the password is not in the environment', { variable: passwordVariable })
  return { mechanism, username, password }
}

/**
 * Parts of a record as columns: `key`, or `key=user_id` for a column of another name than `_key`.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID`.
 */
export function recordColumns(parts: readonly string[]): RecordColumns {
  return Object.fromEntries(
    parts.map((text) => {
      const [part = '', name = `_${part}`] = text.split(/=(.*)/s)
      if (!RECORD_PARTS.includes(part as RecordPart) || name === '')
        throw new DeltaError(
          'ARGUMENT_INVALID',
          'this is no part of a record',
          { part: text },
          { hint: `parts are ${RECORD_PARTS.join(', ')}` },
        )
      return [part, name]
    }),
  )
}

/** The consumer group in which all workers of a topic and a table share its partitions. */
export function groupOf(tableUri: string, topic: string): string {
  return `deltaic.${createHash('sha256').update(tableUri).digest('hex').slice(0, 12)}.${topic}`
}
