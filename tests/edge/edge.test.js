// The reader in a real workerd, bundled as wrangler bundles.

import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { build } from 'esbuild'
import { Miniflare } from 'miniflare'
import testIssuer from '../../bindings/node/test/issuer.js'

const { Issuer, ENDLESS_BYTES } = testIssuer
const VECTORS = path.join(import.meta.dirname, '../vectors')

/** A Worker that is running, by what fetches from it. Its modules are compiled beforehand: no code can be made at run time. */
async function worker(entry, compatibilityFlags = []) {
  const outdir = fs.mkdtempSync(path.join(import.meta.dirname, 'node_modules/.bundle-'))
  after(() => fs.rmSync(outdir, { recursive: true }))
  await build({
    entryPoints: [path.join(import.meta.dirname, entry)],
    outdir,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', ...(compatibilityFlags.includes('nodejs_compat') ? ['node:*'] : [])],
    loader: { '.wasm': 'copy' },
  })
  const modules = fs.readdirSync(outdir).map((name) => {
    const contents = fs.readFileSync(path.join(outdir, name))
    return { path: path.join(outdir, name), contents, type: name.endsWith('.wasm') ? 'CompiledWasm' : 'ESModule' }
  })
  modules.sort((a, b) => a.type.localeCompare(b.type)).reverse()
  const miniflare = new Miniflare({ modulesRoot: outdir, modules, compatibilityDate: '2025-12-01', compatibilityFlags })
  after(() => miniflare.dispose())
  return (init) => miniflare.dispatchFetch('http://worker/', init)
}

const posting = (fetch) => async (document) => {
  const response = await fetch({ method: 'POST', body: JSON.stringify(document) })
  assert.equal(response.status, 200, await response.clone().text())
  return response.json()
}

const reading = posting(await worker('worker.js'))

async function start(t, algorithm) {
  const issuer = await Issuer.start(algorithm)
  t.after(() => issuer.stop())
  const options = { issuer: issuer.url, audience: 'api' }
  return { issuer, options, read: (token) => reading({ options, token }) }
}

test('every vector for readers holds in workerd', async () => {
  const names = fs.readdirSync(VECTORS).filter((name) => name.endsWith('.json'))
  const files = Object.fromEntries(names.map((name) => [name, JSON.parse(fs.readFileSync(path.join(VECTORS, name)))]))
  const outcomes = await posting(await worker('vectors.js', ['nodejs_compat']))(files)
  assert.ok(outcomes.length >= 5)
  for (const [title, failure] of outcomes) assert.equal(failure, null, title)
})

for (const algorithm of ['EdDSA', 'Ed25519', 'ES256', 'RS256']) {
  test(`a Worker reads a token that jose signed with ${algorithm}`, async (t) => {
    const { issuer, read } = await start(t, algorithm)
    const answer = await read(await issuer.token())
    assert.deepEqual(answer, { flags: { new_ai_model: true }, organization: 'org_1' })
    assert.deepEqual(await read(await issuer.token({ jti: 'token_2' })), answer)
    assert.equal(issuer.requests, 1)
  })
}

test('the middleware for Hono reads at the edge by itself', async (t) => {
  const { issuer, options } = await start(t)
  const fetch = await worker('hono.js')
  const ask = (token) => fetch({ headers: { authorization: `Bearer ${token}`, 'x-options': JSON.stringify(options) } })
  assert.deepEqual(await (await ask(await issuer.token())).json(), { new_ai_model: true })
  const refused = await ask('garbage')
  assert.deepEqual([refused.status, (await refused.json()).code], [401, 'TOKEN_MALFORMED'])
})

test('many requests at once wait for one fetch of the keys', async (t) => {
  const { issuer, read } = await start(t)
  const token = await issuer.token()
  const answers = await Promise.all(Array.from({ length: 20 }, () => read(token)))
  for (const { organization } of answers) assert.equal(organization, 'org_1')
  assert.equal(issuer.requests, 1)
})

test('keys are refreshed behind the scenes, also where the request that has them refreshed is answered before they come', async (t) => {
  const { issuer, options } = await start(t)
  const fetch = await worker('waiting.js')
  const read = async (token, ahead) => {
    const response = await fetch({ method: 'POST', body: JSON.stringify({ options, token }), headers: { 'x-ahead': String(ahead) } })
    return (await response.json()).organization
  }
  const lasting = { exp: Math.floor(Date.now() / 1000) + 3600 }
  const [token, other] = [await issuer.token(lasting), await issuer.token({ ...lasting, jti: 'token_2' })]
  assert.equal(await read(token, 0), 'org_1')
  const refreshed = new Promise((resolve) => (issuer.answer = (request, response) => resolve(response)))
  assert.equal(await read(other, 301_000), 'org_1')
  const response = await refreshed
  await issuer.rotate('ES256')
  response.end(JSON.stringify(issuer.jwks))
  assert.equal(await read(await issuer.token(lasting), 301_000), 'org_1')
  assert.equal(issuer.requests, 2)
})

test('whatever is not a token is malformed, and nothing is fetched for it', async (t) => {
  const { issuer, read } = await start(t)
  for (const token of [null, '', 'garbage', 'a.b.c', 0, true, {}, [], '\u0000', '\ud800', 'é'.repeat(1000), 'a'.repeat(1_000_000)]) {
    assert.equal((await read(token)).code, 'TOKEN_MALFORMED')
  }
  assert.equal(issuer.requests, 0)
})

test('a token of a clock five minutes off is refused, and the message says to compare clocks', async (t) => {
  const { issuer, read } = await start(t)
  const now = Math.floor(Date.now() / 1000)
  const early = await read(await issuer.token({ iat: now + 300, nbf: now + 300, exp: now + 600 }))
  assert.equal(early.code, 'TOKEN_NOT_YET_VALID')
  assert.match(early.message, /clock/)
  assert.equal((await read(await issuer.token({ iat: now - 600, exp: now - 300 }))).code, 'TOKEN_EXPIRED')
})

for (const [name, answer] of [
  ['a page', (request, response) => response.end('<html>')],
  ['a redirect', (request, response) => response.writeHead(302, { location: '/elsewhere' }).end()],
  ['a status other than 200', (request, response) => response.writeHead(404).end()],
]) {
  test(`${name} instead of keys makes them unavailable, and the server is not asked again at once`, async (t) => {
    const { issuer, read } = await start(t)
    issuer.answer = answer
    assert.equal((await read(await issuer.token())).code, 'KEYS_UNAVAILABLE')
    assert.equal((await read(await issuer.token())).code, 'KEYS_UNAVAILABLE')
    assert.equal(issuer.requests, 1)
  })
}

test('a key set is read up to one mebibyte', async (t) => {
  for (const [bytes, outcome] of [[1024 * 1024, { organization: 'org_1' }], [1024 * 1024 + 1, { code: 'KEYS_UNAVAILABLE' }]]) {
    const { issuer, read } = await start(t)
    issuer.answer = (request, response) => response.end(JSON.stringify(issuer.jwks).padEnd(bytes))
    const { organization, code } = await read(await issuer.token())
    assert.deepEqual({ organization, code }, { organization: undefined, code: undefined, ...outcome })
  }
})

test('a server that writes on and on is hung up on', async (t) => {
  const { issuer, read } = await start(t)
  const written = issuer.writeOnAndOn()
  assert.equal((await read(await issuer.token())).code, 'KEYS_UNAVAILABLE')
  const bytes = await written
  assert.ok(bytes < ENDLESS_BYTES, `${bytes} bytes`)
})

test('a forged signature and an unknown key are refused with their codes', async (t) => {
  const { issuer, read } = await start(t)
  const { issuer: other } = await start(t)
  assert.equal((await read(await other.token({ iss: issuer.url }))).code, 'KEY_UNKNOWN')
  assert.equal((await read(await other.token({ iss: issuer.url }, { kid: issuer.key.kid }))).code, 'SIGNATURE_INVALID')
})

test('settings that cannot work are refused', async () => {
  const issuer = 'https://flags.example.com'
  for (const options of [{}, { issuer }, { issuer: 'flags', audience: 'api' }, { issuer, audience: 'api', leeway: 61 }, { issuer, audience: 'api', x: 1 }]) {
    assert.equal((await reading({ options, token: '' })).code, 'CONFIGURATION_INVALID')
  }
})
