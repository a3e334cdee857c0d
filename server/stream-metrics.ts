import { Counter, Gauge, type Registry } from 'prom-client'
import type { StreamRunner, StreamStatus } from '../src/index.js'

const STATES = ['running', 'waiting', 'failed'] as const

/** How far the streams are that run here, by what their workers know: no broker is asked. */
export function measureStreams(registry: Registry, streams: StreamRunner | undefined): void {
  const registers = [registry]
  const ofPartitions = (name: string, help: string, value: (of: { readonly offset: number; readonly high: number }) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['stream', 'partition'],
      registers,
      collect() {
        this.reset()
        for (const [stream, { status }] of streams?.all ?? [])
          for (const one of status?.partitions ?? []) this.set({ stream, partition: one.partition }, value(one))
      },
    })
  ofPartitions('deltaic_stream_offset', 'The offset that comes next: rows of all before it are durable.', ({ offset }) => offset)
  ofPartitions('deltaic_stream_lag', 'Offsets from there to the end of the partition.', ({ offset, high }) =>
    Math.max(0, high - offset),
  )
  const ofStreams = (name: string, help: string, value: (status: StreamStatus) => number) =>
    new Counter({
      name,
      help,
      labelNames: ['stream'],
      registers,
      collect() {
        this.reset()
        for (const [stream, { status }] of streams?.all ?? []) this.inc({ stream }, status ? value(status) : 0)
      },
    })
  ofStreams('deltaic_stream_rows_total', 'Rows that it brought to its table from here.', ({ rows }) => rows)
  ofStreams('deltaic_stream_rejected_rows_total', 'Values that went to a table of rejects.', ({ rejected }) => rejected)
  new Gauge({
    name: 'deltaic_stream_state',
    help: 'How a stream fares here: 1 for its state, 0 for the others.',
    labelNames: ['stream', 'state'],
    registers,
    collect() {
      this.reset()
      for (const [stream, run] of streams?.all ?? [])
        for (const state of STATES) this.set({ stream, state }, run.state === state ? 1 : 0)
    },
  })
}
