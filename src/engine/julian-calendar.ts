/**
 * Dates as Spark wrote them before version 3, and writes them when told to: before 15 October 1582 the day that is stored is
 * that of the Julian calendar, and means the day of the same name in the Gregorian one.
 */

/** A day of the Julian calendar from 1 March of its year on, and how many days its name comes earlier in the Gregorian one. */
interface Span {
  /** Days since 1970-01-01, as stored. */
  readonly from: number
  readonly days: number
}

const GREGORIAN_FROM = -141_427

/** From the latest to the earliest: each century that is no leap year in the Gregorian calendar alone is a day less apart. */
const SPANS: readonly Span[] = [15, 14, 13, 11, 10, 9, 7, 6, 5, 3, 2, 1].map((century, at) => ({
  from: julianDay(century * 100, 3, 1),
  days: 10 - at,
}))

/** The date of the same name. @param date an expression of type DATE. */
export function gregorianDate(date: string): string {
  const days = SPANS.map(({ from, days: apart }) => `WHEN ${date} >= ${day(from)} THEN ${-apart}`).join(' ')
  return `CASE WHEN ${date} >= ${day(GREGORIAN_FROM)} THEN ${date} ELSE ${date} + CASE ${days} ELSE 2 END END`
}

/**
 * The instant of the same name in a zone. Without a time zone that keeps UTC, those before 1900 depend on how clocks went
 * there: reading one fails.
 *
 * @param instant an expression of type TIMESTAMP WITH TIME ZONE.
 */
export function gregorianInstant(instant: string, zone: string | undefined): string {
  const at = (days: number) => `(TIMESTAMPTZ '1970-01-01 00:00:00+00' + to_days(${days}))`
  if (!/^(Z|(Etc\/)?(UTC|UCT|GMT|Universal|Zulu|Greenwich)([+-]0+)?|[+-]00:?00)$/i.test(zone ?? ''))
    return (
      `CASE WHEN ${instant} >= TIMESTAMPTZ '1900-01-01 00:00:00+00' OR ${instant} IS NULL THEN ${instant} ` +
      `ELSE error('${UNREAD_INSTANT}')::TIMESTAMP WITH TIME ZONE END`
    )
  const days = SPANS.map(({ from, days: apart }) => `WHEN ${instant} >= ${at(from)} THEN ${-apart}`).join(' ')
  return `CASE WHEN ${instant} >= ${at(GREGORIAN_FROM)} THEN ${instant} ELSE ${instant} + to_days(CASE ${days} ELSE 2 END) END`
}

/** How the message of a failed read begins. */
export const UNREAD_INSTANT = 'deltaic cannot read instants before 1900 in the Julian calendar of a time zone'

function day(days: number): string {
  return `(DATE '1970-01-01' + (${days}))`
}

/** Days since 1970-01-01 of a date in the Julian calendar. */
function julianDay(year: number, month: number, dayOfMonth: number): number {
  const march = year - (month < 3 ? 1 : 0)
  const months = (month + 9) % 12
  return Math.floor(365.25 * march) + Math.floor((153 * months + 2) / 5) + dayOfMonth - 719_471
}
