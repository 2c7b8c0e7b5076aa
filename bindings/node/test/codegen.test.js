'use strict'

// The accessors that `flagbearer codegen typescript` writes for the flags of tests/codegen, compiled and read. package.test.js checks
// their types.

const { test, before, after } = require('node:test')
const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const { FlagSet } = require('@flagbearer/node')
const { TestIssuer } = require('@flagbearer/node/testing')

const SOURCE = path.join(__dirname, '../../../tests/codegen/flags.ts')
const COMPILER = path.join(__dirname, '../node_modules/typescript/bin/tsc')
let folder
let Flags

before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'flagbearer-codegen-'))
  fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}')
  execFileSync(process.execPath, [COMPILER, '--noCheck', '--module', 'esnext', '--target', 'es2022', '--outDir', folder, SOURCE], { stdio: 'pipe' })
  ;({ Flags } = await import(pathToFileURL(path.join(folder, 'flags.js'))))
})

after(() => fs.rmSync(folder, { recursive: true, force: true }))

/** Every accessor, by its name. */
function read(flags) {
  const accessors = new Flags(flags)
  const names = Object.getOwnPropertyNames(Flags.prototype).filter((name) => name !== 'constructor')
  return Object.fromEntries(names.map((name) => [name, accessors[name]]))
}

const DEFAULTS = {
  modelConfig: { deep: { none: null, on: true }, models: ['a', "it's"] },
  aiTokenLimit: Number.MIN_SAFE_INTEGER,
  class: true,
  constructor_: false,
  direction: '\u202eturned\u2066',
  int: 3,
  newAiModel: false,
  promptVariant: 'it\'s "${5}"\n\\ and\u2028more',
  property: true,
  prototype: JSON.parse('{"__proto__":{"on":true}}'),
  uiThemeF6x: 'light',
  uiThemeF7x: 'dark',
}

test('each accessor answers the default that it was generated with, where the flag is not there or of another type', () => {
  assert.deepEqual(read(FlagSet.of({})), DEFAULTS)
  const mistyped = {
    MODELConfig: true, 'ai.token-limit': 'x', class: 1, constructor: 'x', direction: 1, int: 'x', new_ai_model: {}, promptVariant: 1,
    property: 1, prototype: true, 'ui.theme': 1, ui_theme: true,
  }
  assert.deepEqual(read(FlagSet.of(mistyped)), DEFAULTS)
})

test('each accessor answers its flag of a verified token', async () => {
  const flags = {
    MODELConfig: [1], 'ai.token-limit': 7, class: false, constructor: true, direction: 'up', int: 4, new_ai_model: true, promptVariant: 'b',
    property: false, prototype: [2], 'ui.theme': 'x', ui_theme: 'y',
  }
  const issuer = new TestIssuer()
  const verified = await issuer.flagbearer().verify(issuer.token({ flags }))
  assert.deepEqual(read(verified), {
    modelConfig: [1], aiTokenLimit: 7, class: false, constructor_: true, direction: 'up', int: 4, newAiModel: true, promptVariant: 'b',
    property: false, prototype: [2], uiThemeF6x: 'x', uiThemeF7x: 'y',
  })
})
