'use strict'

// The package as its users get it: packed, installed into an empty folder, and used from there.

const { test, before, after } = require('node:test')
const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { errorCodes } = require('@flagbearer/node/testing')

const PACKAGE = path.join(__dirname, '..')
let folder

function run(command, ...args) {
  try {
    return execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')}: ${error.stdout}${error.stderr}`, { cause: error })
  }
}

before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'flagbearer-'))
  execFileSync('npm', ['pack', '--pack-destination', folder], { cwd: PACKAGE, stdio: 'pipe' })
  const [tarball] = fs.readdirSync(folder)
  fs.writeFileSync(path.join(folder, 'package.json'), '{"private":true}')
  // Nothing but the tarball is needed, so the network is not asked; hono is there for those who want it.
  run('npm', 'install', '--offline', '--omit=peer', '--no-save', `./${tarball}`)
})

after(() => fs.rmSync(folder, { recursive: true, force: true }))

const USE = `
  const reader = new Flagbearer({ issuer: 'https://flags.example.com', audience: 'api' })
  reader.verify('garbage').catch((error) => console.log(error instanceof FlagbearerError, error.code, typeof FlagSet))
`
const SEEN = 'true TOKEN_MALFORMED function\n'

test('it holds its own files and nothing else', () => {
  const at = path.join(folder, 'node_modules/@flagbearer/node')
  const files = fs.readdirSync(at, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const code = files.map(({ parentPath, name }) => path.relative(at, path.join(parentPath, name))).filter((file) => !file.endsWith('.node'))
  const native = 'node_modules/@flagbearer/native'
  assert.deepEqual(code.sort(), [
    'README.md', 'body.js', 'edge/core.js', 'edge/edge-light.mjs', 'edge/edge.js', 'edge/flagbearer.wasm', 'edge/index.d.ts', 'edge/index.js',
    'edge/workerd.mjs', 'error.js', 'flag_set.js', 'flagbearer.js', 'follower.js', 'sealed_session.js', 'token_request.js', 'hono.d.ts', 'hono.js', 'index.d.ts', 'index.js', 'native.js', 'nextjs/client.d.ts', 'nextjs/client.mjs', 'nextjs/cookies.js',
    'nextjs/index.d.ts', 'nextjs/index.js', 'nextjs/proxy.js', 'nextjs/refresh.js', 'nextjs/routes.js', 'nextjs/session.js', 'nextjs/settings.js',
    'openfeature/server.d.ts', 'openfeature/server.js', 'openfeature/web.d.ts', 'openfeature/web.mjs', 'opentelemetry.d.ts', 'opentelemetry.js', 'options.js',
    'picked.mjs', `${native}/index.d.ts`, `${native}/index.js`, `${native}/package.json`, 'package.json', 'session.js', 'tables.js', 'testing.d.ts', 'testing.js',
    'watermark.js',
  ].sort())
  assert.deepEqual(fs.readdirSync(path.join(folder, 'node_modules')).filter((name) => !name.startsWith('.')), ['@flagbearer'])
})

test('it works from CommonJS', () => {
  fs.writeFileSync(path.join(folder, 'use.cjs'), `const { Flagbearer, FlagSet, FlagbearerError } = require('@flagbearer/node')\n${USE}`)
  assert.equal(run(process.execPath, 'use.cjs'), SEEN)
})

test('it works from an ES module, with the same classes as from CommonJS', () => {
  const both = `import { createRequire } from 'node:module'
    import assert from 'node:assert'
    assert.equal(createRequire(import.meta.url)('@flagbearer/node').FlagSet, FlagSet)`
  fs.writeFileSync(path.join(folder, 'use.mjs'), `import { Flagbearer, FlagSet, FlagbearerError } from '@flagbearer/node'\n${both}\n${USE}`)
  assert.equal(run(process.execPath, 'use.mjs'), SEEN)
  fs.writeFileSync(path.join(folder, 'doors.mjs'), `
    import { flagbearer } from '@flagbearer/node/hono'
    import { flagSetOfClaim } from '@flagbearer/node/testing'
    console.log(typeof flagbearer, flagSetOfClaim('["a"]').getBooleanFlag('a', false))`)
  assert.equal(run(process.execPath, 'doors.mjs'), 'function true\n')
})

for (const [module, type] of [['nodenext', 'module'], ['nodenext', 'commonjs'], ['esnext', 'module']]) {
  test(`its types hold under tsc, with modules ${module} in a package of type ${type}`, () => {
    // OpenFeature's types for servers need Node's.
    for (const peer of ['hono', '@openfeature', '@opentelemetry', '@types', 'undici-types']) {
      fs.cpSync(path.join(PACKAGE, 'node_modules', peer), path.join(folder, 'node_modules', peer), { recursive: true })
    }
    fs.copyFileSync(path.join(__dirname, 'types.ts'), path.join(folder, 'types.ts'))
    // What `flagbearer codegen typescript` writes.
    fs.copyFileSync(path.join(PACKAGE, '../../tests/codegen/flags.ts'), path.join(folder, 'flags.ts'))
    fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ private: true, type }))
    const resolution = module === 'esnext' ? 'bundler' : module
    const options = { strict: true, noEmit: true, target: 'es2022', module, moduleResolution: resolution, lib: ['es2022', 'dom'], types: ['node'] }
    fs.writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['types.ts', 'flags.ts'] }))
    run(process.execPath, path.join(PACKAGE, 'node_modules/typescript/bin/tsc'), '--noEmit', '-p', 'tsconfig.json')
  })
}

test('where there is no addon for the platform, that is said, with what there is and what to do', () => {
  const native = fs.mkdtempSync(path.join(folder, 'native-'))
  for (const file of ['index.js', 'package.json']) fs.copyFileSync(path.join(PACKAGE, 'native', file), path.join(native, file))
  const load = () => run(process.execPath, '-e', `require(${JSON.stringify(native)})`)
  const [, target] = /flagbearer\.(.+)\.node/.exec(fs.readdirSync(path.join(PACKAGE, 'native')).find((name) => name.endsWith('.node')))
  assert.throws(load, ({ message }) => message.includes(`no addon for \`${target}\`, nor for any other`) && message.includes('npm run build'))
  fs.writeFileSync(path.join(native, 'flagbearer.plan9-mips.node'), '')
  assert.throws(load, /only for `plan9-mips`/)
  fs.writeFileSync(path.join(native, `flagbearer.${target}.node`), 'no library')
  assert.throws(load, ({ message }) => message.includes(`\`${target}\` could not be loaded`))
})

test('the codes in the types are those of the core', () => {
  const types = fs.readFileSync(path.join(PACKAGE, 'index.d.ts'), 'utf8')
  const declared = new Set(types.match(/'[A-Z]+(_[A-Z]+)+'/g).map((code) => code.slice(1, -1)))
  // Keys that sign are not read here, and a watermark that is refused is nobody's fault.
  const untold = ['SIGNING_KEY_INVALID', 'WATERMARK_OLDER']
  assert.deepEqual([...declared].sort(), errorCodes().filter((code) => !untold.includes(code)).sort())
})

test('the lock file names no registry', () => {
  assert.doesNotMatch(fs.readFileSync(path.join(PACKAGE, 'package-lock.json'), 'utf8'), /"resolved": "https?:/)
})
