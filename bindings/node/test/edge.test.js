'use strict'

// The reader over WebAssembly, as far as Node shows it; tests/edge has it in workerd, and examples/nextjs in Next.js's Edge runtime.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const zlib = require('node:zlib')
const edge = require('../edge/edge.js')
const { Issuer } = require('./issuer.js')
const { readerBehaves } = require('./reader_behaviour.js')
const { readerVectors } = require('./reader_vectors.js')
const { read } = require('./vectors.js')

const FOLDER = path.join(__dirname, '../edge')
const MODULE = fs.readFileSync(path.join(FOLDER, 'flagbearer.wasm'))
/** The module, in bytes and gzipped; and all that a Worker loads, the JavaScript above it included. */
const MAX_MODULE_BYTES = 60_000
const MAX_BYTES = 70_000

const { core, ...reader } = edge(new WebAssembly.Module(MODULE))
const testing = { ...core, flagSetOfClaim: (claim) => new reader.FlagSet(core.flagSetOfClaim(claim)) }

/** What is sealed in cookies, and refreshed, is not for the edge. */
const isReaders = (title) => /^(tokens|claims|getters|flag_sets|jwks)\.json/.test(title)

const cases = (t) => readerVectors({ ...reader, testing, read, assert, at: (now) => t.mock.method(Date, 'now', () => now() * 1000) })
for (const title of Object.keys(cases()).filter(isReaders)) test(`WebAssembly: ${title}`, (t) => cases(t)[title]())

readerBehaves('WebAssembly: ', { ...reader, ...testing })

test('the module is built from the sources that are there', () => {
  execFileSync(path.join(__dirname, '../../wasm/build'), ['--check'], { stdio: 'pipe', encoding: 'utf8' })
})

test('the module imports nothing', () => {
  assert.deepEqual(WebAssembly.Module.imports(new WebAssembly.Module(MODULE)), [])
})

const gzipped = (bytes) => zlib.gzipSync(bytes, { level: 9 }).length

test('what a Worker loads is small', () => {
  assert.ok(gzipped(MODULE) < MAX_MODULE_BYTES, `the module has ${gzipped(MODULE)} bytes`)
  const scripts = [...fs.readdirSync(FOLDER).filter((name) => /workerd\.mjs|\.js$/.test(name) && name !== 'index.js').map((name) => path.join(FOLDER, name)),
    ...['body', 'error', 'flag_set', 'flagbearer', 'options', 'tables', 'token_request', 'watermark'].map((name) => path.join(__dirname, `../${name}.js`))]
  const bytes = gzipped(Buffer.concat([MODULE, ...scripts.map((script) => fs.readFileSync(script))]))
  assert.ok(bytes <= MAX_BYTES, `${bytes} bytes`)
})

test('what the edge cannot do is refused when the reader is made, or is not there', () => {
  const options = { issuer: 'https://flags.example.com', audience: 'api' }
  assert.throws(() => new reader.Flagbearer({ ...options, followWatermark: true }), { code: 'CONFIGURATION_INVALID' })
  const methods = Object.getOwnPropertyNames(reader.Flagbearer.prototype)
  assert.deepEqual(methods.sort(), ['close', 'constructor', 'state', 'verify'])
})

test('an algorithm that the platform does not have is refused by its name', async (t) => {
  const issuer = await Issuer.start('EdDSA')
  t.after(() => issuer.stop())
  const flagbearer = new reader.Flagbearer({ issuer: issuer.url, audience: 'api' })
  t.mock.method(crypto.subtle, 'importKey', async () => {
    throw new DOMException('Unrecognized name.', 'NotSupportedError')
  })
  const token = await issuer.token()
  await assert.rejects(flagbearer.verify(token), { code: 'ALGORITHM_UNSUPPORTED', message: /`Ed25519`/ })
  t.mock.restoreAll()
  await flagbearer.verify(token)
})

test('the same classes come from `@flagbearer/node/edge`, in CommonJS and as ES modules', async () => {
  const { Flagbearer, FlagSet, FlagbearerError } = require('@flagbearer/node/edge')
  const imported = await import('@flagbearer/node/edge')
  assert.deepEqual([imported.Flagbearer, imported.FlagSet, imported.FlagbearerError], [Flagbearer, FlagSet, FlagbearerError])
  const flags = FlagSet.of({ new_ai_model: true })
  assert.equal(flags.getBooleanFlag('new_ai_model', false), true)
  assert.throws(() => FlagSet.of({ n: 2 ** 53 }), { code: 'VALUE_OUT_OF_RANGE', pointer: '/n' })
})
