import { afterEach, describe, expect, it, vi } from 'vitest'
import { clientOptions } from '../../src/ingest/kafka/cluster.js'
import { kafkaAddress } from '../../src/lakehouse/stream-source.js'

afterEach(() => vi.unstubAllEnvs())

describe('what every connection to a broker is told', () => {
  it('is to encrypt for kafkas:, and only then', () => {
    expect(clientOptions(kafkaAddress('kafkas://one:9094,two/topic'))).toMatchObject({
      brokers: ['one:9094', 'two:9092'],
      ssl: true,
    })
    expect(clientOptions(kafkaAddress('kafka://one/topic'))).toMatchObject({ ssl: false })
    expect(clientOptions(kafkaAddress('kafka://one/topic'))).not.toHaveProperty('sasl')
  })

  it.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)(
    'is to log in by %s with the password of the environment',
    (mechanism) => {
      vi.stubEnv('DELTAIC_KAFKA_PASSWORD', 'first')
      vi.stubEnv('DELTAIC_KAFKA_PASSWORD_OTHER', 'second')
      const login = { mechanism, username: 'ada' }
      expect(clientOptions(kafkaAddress('kafkas://one/topic', login)).sasl).toEqual({ ...login, password: 'first' })
      const other = { ...login, passwordVariable: 'DELTAIC_KAFKA_PASSWORD_OTHER' }
      expect(clientOptions(kafkaAddress('kafkas://one/topic', other)).sasl).toEqual({ ...login, password: 'second' })
    },
  )
})
