'use strict'

// First and repeated verification of a token and reading of a flag, beside fast-jwt, jose and, with RS256, which is all that it knows,
// @kinde/jwt-validator doing the same: `npm run bench`. The latter two remember nothing, so that they have no part in repeated
// verification. The reader for the edge has its signatures from Web Crypto, as jose has.
// CPU time, because it is the figure that a shared machine disturbs least; rounds alternate, medians are printed.

const crypto = require('node:crypto')
const { createVerifier } = require('fast-jwt')
const { Flagbearer } = require('../index.js')

const ISSUER = 'https://flags.example.com'
const TOKENS = 256
const ROUNDS = 25

const KEYS = {
  EdDSA: () => crypto.generateKeyPairSync('ed25519'),
  ES256: () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RS256: () => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }),
}

function flags() {
  const flag = (i) => {
    if (i % 10 < 6) return { t: 'b', v: true }
    if (i % 10 < 8) return { t: 's', v: 'variant-b' }
    return i % 10 === 8 ? { t: 'i', v: 5000 } : { t: 'j', v: { max_tokens: 4096, model: 'gpt-4o' } }
  }
  return Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`feature_number_${String(i).padStart(2, '0')}`, flag(i)]))
}

function sign(algorithm, key, index) {
  const now = Math.floor(Date.now() / 1000)
  const header = { typ: 'at+jwt', alg: algorithm, kid: 'key' }
  const claims = {
    iss: ISSUER, sub: 'user_01J9ZZ2V9P3T', aud: 'api', client_id: 'app_01J9ZZ2V9P3T', iat: now, exp: now + 3600, jti: `token_${index}`,
    sid: 'session_01J9ZZ2V9P3T', auth_time: now, org_id: 'org_01J9ZZ2V9P3T', flags_rev: 41, feature_flags: flags(),
  }
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${part(header)}.${part(claims)}`
  const options = algorithm === 'ES256' ? { key, dsaEncoding: 'ieee-p1363' } : key
  return `${input}.${crypto.sign(algorithm === 'EdDSA' ? null : 'sha256', Buffer.from(input), options).toString('base64url')}`
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1]
}

/** Microseconds of CPU for one call. */
async function cpu(work, tokens) {
  const before = process.cpuUsage()
  for (const token of tokens) await work(token)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / tokens.length
}

function on(value) {
  if (value !== true) throw new Error('the flag was not read')
}

/** Of each contestant the microseconds of CPU that one call takes. Each round begins with what `renewed` makes. */
async function measure(contestants, tokens, renewed) {
  const measured = contestants.map(() => [])
  for (let round = -3; round < ROUNDS; round++) {
    await renewed?.()
    for (const [i, work] of contestants.entries()) {
      const time = await cpu(work, tokens())
      if (round >= 0) measured[i].push(time)
    }
  }
  return measured.map(median)
}

/** Kinde's validator and decoder. It fetches the keys by itself, once, and checks neither claims nor times. */
async function kinde(jwk) {
  const { validateToken } = await import('@kinde/jwt-validator')
  const { jwtDecoder } = await import('@kinde/jwt-decoder')
  globalThis.fetch = async () => Response.json({ keys: [jwk] })
  return async (token) => {
    const { valid } = await validateToken({ token, domain: ISSUER })
    on(valid && jwtDecoder(token).feature_flags.feature_number_15.v)
  }
}

/** With the reader for the edge in place of ours where `Edge` is given, beside jose alone. */
async function compare(algorithm, Edge) {
  const jose = await import('jose')
  const { publicKey, privateKey } = KEYS[algorithm]()
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'key', alg: algorithm, use: 'sig' }
  const tokens = Array.from({ length: TOKENS }, (_, i) => sign(algorithm, privateKey, i))
  // Every token has come in a request of its own, as a string that nobody has looked at before.
  const arrived = () => tokens.map((token) => Buffer.from(token, 'latin1').toString('latin1'))

  const reader = async () => {
    const made = new (Edge ?? Flagbearer)({ issuer: ISSUER, audience: 'api', fetch: async () => Response.json({ keys: [jwk] }) })
    await made.verify(sign(algorithm, privateKey, 'first'))
    return made
  }
  let ours
  const pem = publicKey.export({ format: 'pem', type: 'spki' })
  const fastJwt = (cache) => createVerifier({ key: pem, algorithms: [algorithm], allowedIss: ISSUER, allowedAud: 'api', cache })
  const [forgetful, remembering] = [fastJwt(false), fastJwt(true)]
  const set = jose.createLocalJWKSet({ keys: [jwk] })
  const expected = { issuer: ISSUER, audience: 'api', typ: 'at+jwt', algorithms: [algorithm] }

  const verifyOurs = async (token) => on((await ours.verify(token)).getBooleanFlag('feature_number_15', false))
  const first = [
    verifyOurs,
    async (token) => on(forgetful(token).feature_flags.feature_number_15.v),
    async (token) => on((await jose.jwtVerify(token, set, expected)).payload.feature_flags.feature_number_15.v),
  ]
  if (algorithm === 'RS256') first.push(await kinde(jwk))
  // A reader that has seen none of the tokens, each round.
  if (Edge !== undefined) return measure([verifyOurs, first[2]], arrived, async () => (ours = await reader()))
  const firstTimes = await measure(first, arrived, async () => (ours = await reader()))
  const again = [verifyOurs, async (token) => on(remembering(token).feature_flags.feature_number_15.v)]
  return { first: firstTimes, again: await measure(again, arrived) }
}

async function read() {
  const { publicKey, privateKey } = KEYS.EdDSA()
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'key' }
  const reader = new Flagbearer({ issuer: ISSUER, audience: 'api', fetch: async () => Response.json({ keys: [jwk] }) })
  const set = await reader.verify(sign('EdDSA', privateKey, 0))
  // Built at run time, as keys that come with a request are; a literal would be cheaper still.
  const keys = Array.from({ length: 30 }, (_, i) => `feature_number_${String(i).padStart(2, '0')}`)
  const calls = 3_000_000
  const rounds = []
  let on = 0
  for (let round = 0; round < 15; round++) {
    const before = process.cpuUsage()
    for (let i = 0; i < calls; i++) if (set.getBooleanFlag(keys[i % 30], false)) on++
    const { user, system } = process.cpuUsage(before)
    rounds.push(((user + system) * 1000) / calls)
  }
  if (on === 0) throw new Error('no flag was read')
  return median(rounds)
}

async function main() {
  const PEERS = ['fast-jwt', 'jose', 'kinde']
  const title = 'verification and one read, µs of CPU'
  console.log(`${title.padEnd(40)}${['ours', ...PEERS].map((name) => name.padStart(10)).join('')}${PEERS.map((name) => `ours/${name}`.padStart(15)).join('')}`)
  const row = (name, [ours, ...peers]) => {
    const cells = [ours, ...peers].map((value) => (value?.toFixed(1) ?? '').padStart(10)).join('').padEnd(40)
    const ratios = peers.map((peer) => (peer === undefined ? '' : (ours / peer).toFixed(2)).padStart(15)).join('')
    console.log(`${name.padEnd(40)}${cells}${ratios}`)
  }
  for (const algorithm of Object.keys(KEYS)) {
    const { first, again } = await compare(algorithm)
    row(`${algorithm}, a token seen first`, first)
    row(`${algorithm}, the same token again`, again)
  }
  console.log(`reading a flag afterwards: ${(await read()).toFixed(1)} ns of CPU`)
  // Last, since code that serves two cores in one process is compiled for neither.
  const { Flagbearer: Edge } = require('../edge/index.js')
  for (const algorithm of Object.keys(KEYS)) {
    const [ours, jose] = await compare(algorithm, Edge)
    row(`${algorithm}, a token seen first, at the edge`, [ours, undefined, jose])
  }
}

main()
