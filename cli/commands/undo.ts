import { Command, Option } from 'commander'
import type { UndoProof, UndoResult, ViewChange, ViewProof } from '../../src/index.js'
import { argument } from '../arguments.js'
import type { Context, Run } from '../context.js'
import { UsageError } from '../errors.js'
import { counted, humanCount } from '../output/human.js'
import { toJson } from '../output/relation.js'

interface UndoFlags {
  readonly versions: { readonly from: number; readonly to: number }
  readonly where?: string
  readonly changed: 'keep' | 'remove'
  readonly dryRun?: boolean
  readonly proof: 'changes' | 'table'
  readonly views: 'check' | 'skip'
}

export function undoCommand(run: Run): Command {
  return new Command('undo')
    .description(
      'take back what commits added, wherever compaction has moved it since, with proof; of an undo, bring its rows back',
    )
    .argument('<table>')
    .requiredOption(
      '--versions <range>',
      'the commits: A..B, both included, or one version',
      argument('--versions', versionRange),
    )
    .option('--where <condition>', 'only rows for which this is true')
    .addOption(
      new Option('--changed <what>', 'what becomes of rows that later commits changed')
        .choices(['keep', 'remove'])
        .default('keep'),
    )
    .addOption(
      new Option('--proof <of>', 'add up the rows that go, or every row of the table')
        .choices(['changes', 'table'])
        .default('changes'),
    )
    .addOption(
      new Option('--views <how>', 'compute each view over the table from its definition, or leave that out and say so')
        .choices(['check', 'skip'])
        .default('check'),
    )
    .option('--dry-run', 'take nothing out, and list what would be')
    .addHelpText(
      'after',
      '\nExample:\n  $ deltaic undo page_views --versions 12..14 --dry-run\n  $ deltaic undo page_views --versions 12..14 --where "producer = \'collector-7\'"',
    )
    .action(run(async (context, table: string, flags: UndoFlags) => await undo(context, table, flags)))
}

async function undo(context: Context, name: string, flags: UndoFlags): Promise<undefined> {
  const bar = context.progress()
  try {
    const result = await context.withLake(
      async (lake) => await lake.table(name).undo({ ...flags, signal: context.signal, onProgress: bar.show }),
    )
    bar.end()
    await context.out.write(context.settings.output === 'table' ? `${told(result).join('\n')}\n` : `${toJson(result)}\n`)
  } finally {
    bar.end()
  }
}

function told(result: UndoResult): readonly string[] {
  const {
    dryRun,
    versions,
    rowsRestored,
    rowsDeleted = 0,
    rowsAdded,
    rowsGone,
    rowsChanged,
    changedBy,
    version,
    files,
    proof,
  } = result
  const range = versions.from === versions.to ? `version ${versions.from}` : `versions ${versions.from} to ${versions.to}`
  if (rowsRestored > 0)
    return [
      dryRun
        ? `${counted(rowsRestored, 'row')} would come back`
        : `version ${version}: ${counted(rowsRestored, 'row')} came back`,
      ...proofLines(proof),
      ...viewProofLines(result.viewProofs),
    ]
  const before = rowsAdded === undefined ? '' : ` of the ${humanCount(rowsAdded)} that ${range} added`
  const gone = rowsGone ? `; ${humanCount(rowsGone)} were gone before` : ''
  const done =
    rowsDeleted === 0
      ? `nothing to do: no row that ${range} added is there any more, unchanged`
      : dryRun
        ? `${counted(rowsDeleted, 'row')}${before} would go, from ${counted(files.length, 'file')}${gone}`
        : `version ${version}: ${counted(rowsDeleted, 'row')}${before} went, from ${counted(files.length, 'file')}${gone}`
  const changes = changedBy.map(
    (by) => `  ${counted(by.rows, 'row')} by version ${by.version}${by.operation ? ` (${by.operation})` : ''}`,
  )
  return [
    ...(dryRun ? files.map(({ file, rows }) => `${file}  ${counted(rows, 'row')}`) : []),
    done,
    ...(rowsChanged > 0 ? [`${counted(rowsChanged, 'row')} changed since (--changed keep|remove decides):`, ...changes] : []),
    ...viewChangeLines(result.viewChanges),
    ...proofLines(proof),
    ...viewProofLines(result.viewProofs),
  ]
}

function viewChangeLines(changes: readonly ViewChange[] = []): readonly string[] {
  return changes.flatMap(({ view, rows, examples }) => [
    rows === 0 ? `view ${view} would stay as it is` : `view ${view}: ${counted(rows, 'row')} would change`,
    ...examples.map(({ before, after }) => `  ${before ?? '(not there)'} → ${after ?? '(not there)'}`),
  ])
}

function viewProofLines(proofs: readonly ViewProof[] = []): readonly string[] {
  return proofs.map(({ view, holds, rows = 0, rowsDiffering = 0, problem }) => {
    if (holds === undefined) return `no proof of view ${view}: ${problem}`
    return holds
      ? `proof: view ${view} equals its definition, ${counted(rows, 'row')}`
      : `view ${view} differs from its definition in ${counted(rowsDiffering, 'row')}: rebuild it`
  })
}

function proofLines(proof: UndoProof | undefined): readonly string[] {
  if (!proof) return []
  const { rowsTaken, hashTaken, rowsWritten = 0, hashWritten = '', missing, table } = proof
  return [
    missing === undefined
      ? `proof: ${counted(rowsTaken, 'row')} ${hashTaken} in the commit, ${humanCount(rowsWritten)} ${hashWritten} as they were written: the same`
      : `no proof: ${missing}, in which rows came, was vacuumed; ${counted(rowsTaken, 'row')} ${hashTaken} in the commit`,
    ...(table
      ? [
          `the table: ${humanCount(table.rowsBefore)} rows ${table.hashBefore} before, ${humanCount(table.rowsAfter)} ${table.hashAfter} after: before without what was written is after`,
        ]
      : []),
  ]
}

/** `12..14`, or `12`. */
function versionRange(text: string): UndoFlags['versions'] {
  const [, from, to = from] = /^(\d+)(?:\.\.(\d+))?$/.exec(text.trim()) ?? []
  if (from === undefined || Number(to) < Number(from)) throw new UsageError(`is no range of versions: ${text} (write 12..14)`)
  return { from: Number(from), to: Number(to) }
}
