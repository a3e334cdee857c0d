import type { SnapshotFile } from '../table/snapshot.js'
import { type CompactionCandidate, isWorn } from './compaction-plan.js'

/** What clustered files say of themselves, as Spark has it. */
const PROVIDER = 'liquid'
const CUBE = 'ZCUBE_ID'
const CUBE_COLUMNS = 'ZCUBE_ZORDER_BY'

/** Files that were clustered together are let be once they are this large: more would gain little, and cost much. */
const CUBE_FULL_BYTES = 100 * 2 ** 30
const CUBE_BYTES_MAX = 150 * 2 ** 30

export type ClusteringCandidate = CompactionCandidate & Pick<SnapshotFile, 'tags' | 'clusteringProvider'>

/** How files of one clustering are marked. @param columns logical paths, as text. */
export function clusteringMark(cube: string, columns: readonly string[]): Pick<SnapshotFile, 'tags' | 'clusteringProvider'> {
  return { tags: { [CUBE]: cube, [CUBE_COLUMNS]: JSON.stringify(columns) }, clusteringProvider: PROVIDER }
}

/**
 * Chooses the files to cluster together: those that are not, with those that were while there were few. Files that were clustered
 * by other columns are let be, unless `full`. Pure.
 */
export function planClustering<T extends ClusteringCandidate>(
  files: readonly T[],
  columns: readonly string[],
  full: boolean,
): T[][] {
  const { cubeOf, isOthers } = clusteringBy(columns)
  const cubeBytes = new Map<string, number>()
  for (const file of files) {
    const cube = cubeOf(file)
    if (cube !== undefined) cubeBytes.set(cube, (cubeBytes.get(cube) ?? 0) + file.sizeBytes)
  }
  const candidates = files.filter((file) => {
    const cube = cubeOf(file)
    if (cube !== undefined) return isWorn(file) || (cubeBytes.get(cube) ?? 0) < CUBE_FULL_BYTES
    return full || !isOthers(file)
  })
  const cubes = new Set(candidates.map(cubeOf))
  const isDone = !candidates.some(isWorn) && (cubes.size === 0 || (cubes.size === 1 && !cubes.has(undefined)))
  return isDone ? [] : bins(candidates)
}

/**
 * The files of a clustered table, those that were clustered together as one, and each of the others by itself. Those that were
 * clustered by other columns are left out. Pure.
 */
export function clusterUnits<T extends ClusteringCandidate>(files: readonly T[], columns: readonly string[]): (readonly T[])[] {
  const { cubeOf, isOthers } = clusteringBy(columns)
  const cubes = new Map<string, T[]>()
  const alone: T[][] = []
  for (const file of files) {
    const cube = cubeOf(file)
    if (cube !== undefined) cubes.set(cube, [...(cubes.get(cube) ?? []), file])
    else if (!isOthers(file)) alone.push([file])
  }
  return [...cubes.values(), ...alone]
}

function clusteringBy(columns: readonly string[]) {
  const by = JSON.stringify(columns)
  const cubeOf = ({ clusteringProvider, tags }: ClusteringCandidate) =>
    clusteringProvider === PROVIDER && tags?.[CUBE_COLUMNS] === by ? (tags[CUBE] ?? '') : undefined
  const isOthers = (file: ClusteringCandidate) =>
    file.clusteringProvider === PROVIDER && file.tags?.[CUBE_COLUMNS] !== undefined && cubeOf(file) === undefined
  return { cubeOf, isOthers }
}

function bins<T extends ClusteringCandidate>(files: readonly T[]): T[][] {
  const found: T[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const file of files) {
    if (bytes + file.sizeBytes > CUBE_BYTES_MAX) {
      found.push([])
      bytes = 0
    }
    found.at(-1)?.push(file)
    bytes += file.sizeBytes
  }
  return found
}
