import { describe, expect, it } from 'vitest'
import type { Action, AddFile, RemoveFile } from '../../src/protocol/actions.js'
import { formatCommit, parseCommit } from '../../src/protocol/commit-file.js'
import { rootSpellings } from '../../src/protocol/file-path.js'
import { findConflict, footprintOf } from '../../src/table/conflict.js'
import { addOf, metadata, PROTOCOL, removeOf } from '../support/world.js'

interface Ours {
  readonly adds?: readonly AddFile[]
  readonly removes?: readonly RemoveFile[]
  readonly appIds?: readonly string[]
}

const ROOTS = rootSpellings('s3://bucket/table')
const footprint = ({ adds = [], removes = [], appIds = [] }: Ours) =>
  footprintOf({ roots: ROOTS, adds, removes, appIds, changesTable: false })
const winner = (...actions: readonly Action[]) => parseCommit(4, formatCommit(actions), 'winner')

const append: Ours = { adds: [addOf('new')] }
const compaction: Ours = {
  adds: [addOf('big', { dataChange: false })],
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
    expect(findConflict(footprint(ours), winner(...actions))).toBeUndefined()
  })

  it.each<[string, Ours, Action[], object]>([
    ['an append, after a change of the metadata', append, [metadata()], { reason: 'metadataChanged', subjects: [] }],
    ['an append, after a change of the protocol', append, [PROTOCOL], { reason: 'protocolChanged', subjects: [] }],
    ['a compaction, after a change of the metadata', compaction, [metadata()], { reason: 'metadataChanged', subjects: [] }],
    [
      'a compaction, after one of a file of its own',
      compaction,
      [{ remove: removeOf('b', { dataChange: false }) }],
      { reason: 'fileRemoved', subjects: ['b'] },
    ],
    [
      'a compaction, after a delete of a file of its own',
      compaction,
      [{ remove: removeOf('a') }, { remove: removeOf('z') }],
      { reason: 'fileRemoved', subjects: ['a'] },
    ],
    [
      'a compaction, after a delete of some rows of a file of its own',
      compaction,
      [
        { remove: removeOf('a') },
        { add: addOf('a', { deletionVector: { storageType: 'i', pathOrInlineDv: 'x', sizeInBytes: 1, cardinality: 1 } }) },
      ],
      { reason: 'fileRemoved', subjects: ['a'] },
    ],
    ['a batch, after one of the same producer', batch('p'), [txn('p')], { reason: 'sameProducer', subjects: ['p'] }],
  ])('stops %s', (_, ours, actions, conflict) => {
    expect(findConflict(footprint(ours), winner(...actions))).toEqual({ version: 4, ...conflict })
  })

  it.each([
    ['escaped more than ours', 'day%3D1/a%20b', 'day=1/a b'],
    ['escaped less than ours', 'day=1/a b', 'day%3D1/a%20b'],
    ['given absolutely', 'day=1/a%20b', 's3a://bucket/table/day=1/a%20b'],
  ])('knows a file by another writer’s spelling of it: %s', (_, ours, theirs) => {
    const conflict = findConflict(footprint({ removes: [removeOf(ours)] }), winner({ remove: removeOf(theirs) }))
    expect(conflict?.subjects).toEqual(['day=1/a b'])
  })

  it('tells which rows a footprint changes', () => {
    expect([footprint(append).changesData, footprint(compaction).changesData, footprint({}).changesData]).toEqual([
      true,
      false,
      false,
    ])
  })
})
