// Which room may look at which: the diagram of docs/, as code. A room looks downwards and may skip floors.
const floors = [
  ['base'],
  ['protocol', 'client'],
  ['storage'],
  ['engine'],
  ['log'],
  ['table'],
  ['ingest', 'ops'],
  ['sql'],
  ['views'],
  ['lakehouse'],
]
const shells = '^(cli|server|bench)/'

const forbiddenFor = (room) => {
  const floor = floors.findIndex((rooms) => rooms.includes(room))
  return [...floors[floor].filter((other) => other !== room), ...floors.slice(floor + 1).flat()]
}

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'every-import-resolves', severity: 'error', from: {}, to: { couldNotResolve: true } },
    ...floors.flat().map((room) => ({
      name: `${room}-looks-down`,
      severity: 'error',
      from: { path: `^src/${room}/` },
      to: { path: [...forbiddenFor(room).map((other) => `^src/${other}/`), '^src/[^/]+$', '^(cli|server|bench|data|test)/'] },
    })),
    {
      name: 'rooms-are-known',
      comment: 'A new folder in src takes its floor in this file first.',
      severity: 'error',
      from: {},
      to: { path: '^src/[^/]+/', pathNot: `^src/(${floors.flat().join('|')})/` },
    },
    {
      name: 'pure-rooms-do-no-io',
      severity: 'error',
      from: { path: '^src/(base|protocol)/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'shells-use-the-front-door',
      severity: 'error',
      from: { path: shells },
      to: { path: '^src/', pathNot: '^src/index\\.ts$' },
    },
    { name: 'only-tests-import-tests', severity: 'error', from: { pathNot: '^test/' }, to: { path: '^test/' } },
    { name: 'server-knows-no-shell', severity: 'error', from: { path: '^server/' }, to: { path: '^(cli|bench)/' } },
    { name: 'data-stands-alone', severity: 'error', from: { path: '^data/' }, to: { path: '^(src|cli|server|bench)/' } },
    {
      name: 'only-engine-knows-duckdb',
      severity: 'error',
      from: { path: '^(src|cli|server)/', pathNot: '^src/engine/' },
      to: { path: 'node_modules/@duckdb/' },
    },
    {
      name: 'only-storage-knows-the-aws-sdk',
      severity: 'error',
      from: { path: '^(src|cli|server)/', pathNot: '^src/storage/' },
      to: { path: 'node_modules/@aws-sdk/' },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
}
