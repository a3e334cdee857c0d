import { describe, expect, it } from 'vitest'
import type { Action, Metadata, Protocol, RemoveFile } from '../../src/protocol/actions.js'
import { type Commit, formatCommit, parseCommit } from '../../src/protocol/commit-file.js'
import { canonicalFilePath, rootSpellings } from '../../src/protocol/file-path.js'
import { addsThatCount, type Footprint, findConflict } from '../../src/table/conflict.js'
import { addOf, metadata, PROTOCOL, removeOf } from '../support/world.js'

interface Ours extends Partial<Omit<Footprint, 'removedFiles' | 'appIds'>> {
  readonly removes?: readonly RemoveFile[]
  readonly appIds?: readonly string[]
}

const ROOTS = rootSpellings('s3://bucket/table')
const NONE: ReadonlySet<string> = new Set()
const footprint = ({ removes = [], appIds = [], ...more }: Ours): Footprint => ({
  roots: ROOTS,
  isolation: 'WriteSerializable',
  readsWhole: false,
  readsSome: false,
  readFiles: NONE,
  removedFiles: new Set(removes.map(({ path }) => canonicalFilePath(path, ROOTS))),
  settledFiles: NONE,
  appIds: new Set(appIds),
  domains: NONE,
  changesProtocol: false,
  changesMetadata: false,
  ...more,
})
const BEFORE = { ...(PROTOCOL as { protocol: Protocol }), metadata: (metadata() as { metaData: Metadata }).metaData }
const winner = (...actions: readonly Action[]) => parseCommit(4, formatCommit(actions), 'winner')

const conflictOf = (ours: Ours, won: Commit, before = BEFORE) =>
  findConflict(footprint(ours), before, won, addsThatCount(footprint(ours), won))

const LOWER: Action = { protocol: { minReaderVersion: 1, minWriterVersion: 1 } }
const append: Ours = {}
const compaction: Ours = {
  isolation: 'SnapshotIsolation',
  removes: [removeOf('a', { dataChange: false }), removeOf('b', { dataChange: false })],
}
const batch = (appId: string): Ours => ({ ...append, appIds: [appId] })
const txn = (appId: string): Action => ({ txn: { appId, version: 1 } })

describe('findConflict', () => {
  it.each<[string, Ours, Action[]]>([
    ['an append, after an append', append, [{ add: addOf('other') }]],
    ['an append, after a compaction', append, [{ remove: removeOf('a', { dataChange: false }) }, { add: addOf('big') }]],
    ['an append, after a delete', append, [{ remove: removeOf('a') }]],
    ['a compaction, after an append', compaction, [{ add: addOf('other') }]],
    ['a compaction, after one of other files', compaction, [{ remove: removeOf('c', { dataChange: false }) }]],
    ['a batch, after another producer’s', batch('p'), [txn('q'), { add: addOf('other') }]],
    ['a batch, after a commit that only tells of itself', batch('p'), [{ commitInfo: { operation: 'WRITE' } }]],
  ])('lets %s, go on', (_, ours, actions) => {
    expect(conflictOf(ours, winner(...actions))).toBeUndefined()
  })

  it.each<[string, Ours, Action[], object]>([
    [
      'an append, after a change of the metadata',
      append,
      [metadata({ 'delta.appendOnly': 'true' })],
      { reason: 'metadataChanged', subjects: [] },
    ],
    ['an append, after the protocol was lowered', append, [LOWER], { reason: 'protocolChanged', subjects: [] }],
    [
      'a compaction, after a change of the metadata',
      compaction,
      [metadata({ note: 'x' })],
      { reason: 'metadataChanged', subjects: [] },
    ],
    [
      'a compaction, after one of a file of its own',
      compaction,
      [{ remove: removeOf('b', { dataChange: false }) }],
      { reason: 'concurrentDeleteDelete', subjects: ['b'] },
    ],
    [
      'a compaction, after a delete of a file of its own',
      compaction,
      [{ remove: removeOf('a') }, { remove: removeOf('z') }],
      { reason: 'concurrentDeleteDelete', subjects: ['a'] },
    ],
    [
      'a compaction, after a delete of some rows of a file of its own',
      compaction,
      [
        { remove: removeOf('a') },
        { add: addOf('a', { deletionVector: { storageType: 'i', pathOrInlineDv: 'x', sizeInBytes: 1, cardinality: 1 } }) },
      ],
      { reason: 'concurrentDeleteDelete', subjects: ['a'] },
    ],
    ['a batch, after one of the same producer', batch('p'), [txn('p')], { reason: 'sameProducer', subjects: ['p'] }],
  ])('stops %s', (_, ours, actions, conflict) => {
    expect(conflictOf(ours, winner(...actions))).toMatchObject({ version: 4, ...conflict })
  })

  it.each([
    ['escaped more than ours', 'day%3D1/a%20b', 'day=1/a b'],
    ['escaped less than ours', 'day=1/a b', 'day%3D1/a%20b'],
    ['given absolutely', 'day=1/a%20b', 's3a://bucket/table/day=1/a%20b'],
  ])('knows a file by another writer’s spelling of it: %s', (_, ours, theirs) => {
    const conflict = conflictOf({ removes: [removeOf(ours)] }, winner({ remove: removeOf(theirs) }))
    expect(conflict?.subjects).toEqual(['day=1/a b'])
  })
})
