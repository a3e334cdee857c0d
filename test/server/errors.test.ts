import { describe, expect, it } from 'vitest'
import {
  HTTP_CODES,
  HttpError,
  problemText,
  retryAfterSeconds,
  STATUS_OF,
  STATUS_OF_CODE,
  toProblem,
} from '../../server/errors.js'
import { DeltaError, type ErrorCode, KIND_OF } from '../../src/index.js'

describe('a problem', () => {
  it('tells what happened, what to do, and the facts', () => {
    const error = new DeltaError(
      'TABLE_NOT_FOUND',
      'there is no such table',
      { table: 'views' },
      { hint: 'SHOW TABLES lists them' },
    )
    expect(toProblem(error)).toEqual({
      type: 'urn:deltaic:error:TABLE_NOT_FOUND',
      title: 'Table not found',
      status: 404,
      code: 'TABLE_NOT_FOUND',
      kind: 'notFound',
      message: 'there is no such table. table=views',
      hint: 'SHOW TABLES lists them',
      details: { table: 'views' },
    })
  })

  it.each(Object.keys(KIND_OF) as ErrorCode[])('of %s has a status that says who has to act', (code) => {
    const { status, kind } = toProblem(new DeltaError(code, 'x'))
    expect(status).toBe(STATUS_OF_CODE[code] ?? STATUS_OF[kind])
    if (['corrupt', 'unavailable', 'internal'].includes(kind)) expect(status).toBeGreaterThanOrEqual(500)
    else if (kind !== 'limit' && code !== 'STORE_UNSAFE') expect(status).toBeLessThan(500)
  })

  it('of the server shares no code with the library', () => {
    expect(Object.keys(HTTP_CODES).filter((code) => code in KIND_OF)).toEqual([])
    expect(toProblem(new HttpError('METHOD_NOT_ALLOWED', 'x'))).toMatchObject({
      status: 405,
      kind: 'invalid',
      title: 'Method not allowed',
    })
  })

  it('of an unforeseen error gives nothing away', () => {
    const text = problemText(toProblem(new TypeError('cannot read /secret/path')))
    expect(JSON.parse(text)).toMatchObject({ status: 500, code: 'ENGINE_FAILED', kind: 'internal' })
    expect(text).not.toMatch(/secret|errors\.test/)
  })

  it('carries neither stack nor cause', () => {
    const cause = new Error('inner')
    const text = problemText(toProblem(new DeltaError('STORE_UNAVAILABLE', 'no answer', { inner: cause, size: 12n }, { cause })))
    expect(text).not.toMatch(/inner|stack|errors\.test/)
    expect(JSON.parse(text)).toMatchObject({ details: { size: '12' } })
  })

  it('asks to try again only where that is the remedy', () => {
    expect(retryAfterSeconds(toProblem(new DeltaError('TOO_BUSY', 'x', { retryAfterMs: 1200 })))).toBe(2)
    expect(retryAfterSeconds(toProblem(new DeltaError('TOO_BUSY', 'x')))).toBe(1)
    expect(retryAfterSeconds(toProblem(new DeltaError('SQL_INVALID', 'x')))).toBeUndefined()
  })
})
