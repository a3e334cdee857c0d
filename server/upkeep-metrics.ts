import { Counter, Gauge, type Registry } from 'prom-client'
import type { AutoMaintenance, TableMaintenance } from '../src/index.js'

const LABELS = ['table']

/** What upkeep does for each table that this server looks after, and what it is to read them. */
export function measureUpkeep(registry: Registry, maintenance: AutoMaintenance | undefined): void {
  const registers = [registry]
  const each = () => maintenance?.status() ?? []
  const now = (name: string, help: string, value: (status: TableMaintenance) => number) =>
    new Gauge({
      name,
      help,
      labelNames: LABELS,
      registers,
      collect() {
        this.reset()
        for (const status of each()) this.set({ table: status.table }, value(status))
      },
    })
  const total = (name: string, help: string, value: (status: TableMaintenance) => number) =>
    new Counter({
      name,
      help,
      labelNames: LABELS,
      registers,
      collect() {
        this.reset()
        for (const status of each()) this.inc({ table: status.table }, value(status))
      },
    })
  now('deltaic_table_files', 'Files of the table.', ({ files }) => files)
  now('deltaic_table_files_at_best', 'Files that it would have if all of them were full.', ({ filesAtBest }) => filesAtBest)
  total('deltaic_table_appended_bytes_total', 'Bytes that writers brought.', ({ bytesAppended }) => bytesAppended)
  total('deltaic_table_rewritten_bytes_total', 'Bytes of files that were rewritten.', ({ bytesRewritten }) => bytesRewritten)
  total('deltaic_table_compactions_total', 'Compactions by this server.', ({ compactions }) => compactions)
  total('deltaic_table_clusterings_total', 'Of these, those that clustered.', ({ clusterings }) => clusterings)
  total('deltaic_table_upkeep_failures_total', 'Upkeep by this server that failed.', ({ failures }) => failures)
}
