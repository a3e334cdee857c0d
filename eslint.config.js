// Only what needs types: a dropped promise here is a lost write. Format and syntax belong to biome.
import { defineConfig } from 'eslint/config'
import tseslint from 'typescript-eslint'

const timeAndDice = ['src/base/clock.ts', 'src/base/random.ts']

export default defineConfig(
  { ignores: ['dist/', 'node_modules/', 'coverage/', '*.config.ts'] },
  {
    files: ['**/*.ts'],
    plugins: { '@typescript-eslint': tseslint.plugin },
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: timeAndDice,
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'Time is an argument: take a Clock (src/base/clock.ts).' },
        { object: 'Math', property: 'random', message: 'Dice are an argument: take a Random (src/base/random.ts).' },
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: ':matches(NewExpression[arguments.length=0], CallExpression)[callee.name="Date"]',
          message: 'Time is an argument: take a Clock (src/base/clock.ts).',
        },
      ],
    },
  },
)
