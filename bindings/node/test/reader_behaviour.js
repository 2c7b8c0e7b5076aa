'use strict'

// How readers behave, of whichever core: that of the addon, or that of WebAssembly.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const crypto = require('node:crypto')
const { once } = require('node:events')
const v8 = require('node:v8')
const vm = require('node:vm')
const { TestIssuer } = require('@flagbearer/node/testing')
const { Issuer, ENDLESS_BYTES } = require('./issuer.js')
const { read } = require('./vectors.js')

/** Tests these classes; `of` stands before the tests' names. */
function readerBehaves(of, { Flagbearer, FlagSet, FlagbearerError, flagSetOfClaim }) {
  async function start(t, algorithm) {
    const issuer = await Issuer.start(algorithm)
    t.after(() => issuer.stop())
    return { issuer, reader: new Flagbearer({ issuer: issuer.url, audience: 'api' }) }
  }

  /** How far the reader's clock is ahead, in milliseconds. */
  function clock(t) {
    const offset = { ms: 0 }
    const real = Date.now.bind(Date)
    t.mock.method(Date, 'now', () => real() + offset.ms)
    return offset
  }

  const refused = (code) => (error) => {
    assert.ok(error instanceof FlagbearerError && error instanceof Error, error.stack)
    assert.equal(error.code, code)
    assert.notEqual(error.message, '')
    return true
  }

  /** Ten thousand tokens, each of another key. */
  async function refusesUnknownKeys(issuer, reader) {
    const token = (await issuer.token()).split('.')
    for (let i = 0; i < 10_000; i++) {
      token[0] = Buffer.from(JSON.stringify({ typ: 'at+jwt', alg: issuer.key.algorithm, kid: crypto.randomUUID() })).toString('base64url')
      await assert.rejects(reader.verify(token.join('.')), refused('KEY_UNKNOWN'))
    }
  }

  for (const algorithm of ['EdDSA', 'Ed25519', 'ES256', 'RS256']) {
    test(`${of}a token that jose signed with ${algorithm} is verified`, async (t) => {
      const { issuer, reader } = await start(t, algorithm)
      const flags = await reader.verify(await issuer.token())
      assert.equal(flags.getBooleanFlag('new_ai_model', false), true)
      assert.equal(flags.claims.sub, 'user_1')
      assert.equal(flags.organization, 'org_1')
      assert.equal(flags.flagsRevision, 41)
    })

    test(`${of}a token that we signed with ${algorithm} is verified by jose`, async () => {
      const jose = await import('jose')
      const { now, jwks, cases } = read('tokens.json')
      const name = algorithm === 'Ed25519' ? 'Ed25519, the newer name of EdDSA' : `a token signed with ${algorithm}`
      const { token, expect } = cases.find((item) => item.name === name)
      // jose refuses a key whose `alg` is the older name, as the issuer writes it.
      const keys = jwks.keys.map((jwk) => (jwk.alg === 'EdDSA' ? { ...jwk, alg: algorithm } : jwk))
      const expected = { issuer: expect.claims.iss, audience: 'api', typ: 'at+jwt', currentDate: new Date(now * 1000) }
      const { payload } = await jose.jwtVerify(token, jose.createLocalJWKSet({ keys }), expected)
      assert.deepEqual(payload, expect.claims)
    })
  }

  test(of + 'whatever is not a token is malformed, and nothing is fetched for it', async (t) => {
    const { issuer, reader } = await start(t)
    const none = [undefined, null, '', ' ', 'garbage', 'a.b.c', 0, 1n, NaN, true, {}, [], ['a'], () => {}, Symbol('x'), new Date(), Buffer.from('a.b.c')]
    for (const token of [...none, { toString: () => 'a.b.c' }, '\u0000', '\ud800', 'é'.repeat(1000), 'a'.repeat(10_000_000)]) {
      await assert.rejects(reader.verify(token), refused('TOKEN_MALFORMED'))
    }
    await assert.rejects(reader.verify(), refused('TOKEN_MALFORMED'))
    assert.equal(issuer.requests, 0)
  })

  test(of + 'alg none, in any spelling, is refused', async (t) => {
    const { issuer, reader } = await start(t)
    const [, payload] = (await issuer.token()).split('.')
    for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
      const header = Buffer.from(JSON.stringify({ typ: 'at+jwt', alg, kid: issuer.key.kid })).toString('base64url')
      await assert.rejects(reader.verify(`${header}.${payload}.`), refused('ALGORITHM_UNSUPPORTED'))
    }
  })

  test(of + 'HS256 with the public key as its secret is refused', async (t) => {
    const { issuer, reader } = await start(t, 'RS256')
    const [, payload] = (await issuer.token()).split('.')
    const key = crypto.createPublicKey({ key: issuer.jwks.keys[0], format: 'jwk' })
    for (const secret of [key.export({ format: 'pem', type: 'spki' }), key.export({ format: 'der', type: 'spki' }), issuer.jwks.keys[0].n]) {
      const header = Buffer.from(JSON.stringify({ typ: 'at+jwt', alg: 'HS256', kid: issuer.key.kid })).toString('base64url')
      const signature = crypto.createHmac('sha256', secret).update(`${header}.${payload}`).digest('base64url')
      await assert.rejects(reader.verify(`${header}.${payload}.${signature}`), refused('ALGORITHM_UNSUPPORTED'))
    }
  })

  test(of + "another issuer's token is refused, and so is one that only claims to be ours", async (t) => {
    const { issuer, reader } = await start(t)
    const { issuer: other } = await start(t)
    await assert.rejects(reader.verify(await other.token()), refused('KEY_UNKNOWN'))
    await assert.rejects(reader.verify(await other.token({ iss: issuer.url })), refused('KEY_UNKNOWN'))
    await assert.rejects(reader.verify(await other.token({ iss: issuer.url }, { kid: issuer.key.kid })), refused('SIGNATURE_INVALID'))
    await assert.rejects(reader.verify(await issuer.token({ iss: other.url })), refused('ISSUER_MISMATCH'))
  })

  test(of + 'flags named like things that JavaScript knows are flags where they are and missing where they are not', async (t) => {
    const { issuer, reader } = await start(t)
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'prototype']
    const without = await reader.verify(await issuer.token())
    const claim = JSON.parse(`{${names.map((name) => `"${name}":{"t":"b","v":true}`).join()}}`)
    const within = await reader.verify(await issuer.token({ feature_flags: claim }))
    for (const name of names) {
      assert.equal(without.getBooleanFlag(name, false), false)
      assert.equal(without.getStringFlag(name, 'x'), 'x')
      assert.equal(without.getFlag(name, null, 'b').errorCode, 'FLAG_NOT_FOUND')
      assert.equal(without.getFlag(name, null, name).errorCode, 'FLAG_NOT_FOUND')
      assert.equal(name in without.getAllFlags(), false)
      assert.equal(within.getBooleanFlag(name, false), true)
      assert.equal(within.getAllFlags()[name], true)
    }
    assert.equal({}.polluted, undefined)
  })

  test(of + 'details name the type asked for, and a read without a type answers any', () => {
    const flags = flagSetOfClaim('{"limit":{"t":"i","v":5}}')
    assert.deepEqual(flags.getFlag('limit', 1), {
      code: 'limit', type: 'integer', value: 5, defaultValue: 1, is_default: false, reason: 'CACHED',
    })
    assert.equal(flags.getFlag('limit', 1, 'number').errorCode, 'TYPE_MISMATCH')
    assert.equal(flags.getFlag('limit', 1, 's').value, 1)
    assert.equal(flags.getIntegerFlag('missing', undefined), undefined)
  })

  test(of + 'what one reader does to a JSON value or to the claims is not seen by the next', async (t) => {
    'use strict'
    const flags = flagSetOfClaim('{"config":{"t":"j","v":{"models":["a"]}}}')
    assert.throws(() => flags.getFlag('config', null, 'j').value.models.push('b'), TypeError)
    assert.throws(() => (flags.claims.sub = 'x'), TypeError)
    assert.deepEqual(flags.getFlag('config', null, 'j').value, { models: ['a'] })
  })

  const FLAGS = { on: true, variant: 'b', limit: 5000, config: { model: 'large' } }

  /** The set of a token with these flags, of a reader with this hook. */
  function told(onRead) {
    const issuer = new TestIssuer()
    const options = { issuer: 'https://flags.example.com', audience: 'app', fetch: async () => new Response(issuer.jwks()), onRead }
    return new Flagbearer(options).verify(issuer.token({ flags: FLAGS }))
  }

  test(of + 'each read is reported with its details and its set', async () => {
    const reads = []
    const flags = await told((...read) => reads.push(read))
    assert.equal(flags.getBooleanFlag('on', false), true)
    assert.equal(flags.getIntegerFlag('variant', 7), 7)
    assert.equal(flags.getFlag('config', null, 'j').value.model, 'large')
    assert.equal(flags.getStringFlag('gone', 'x'), 'x')
    flags.pick('all')
    assert.deepEqual(reads.map(([{ code, reason, errorCode }]) => [code, reason, errorCode]), [
      ['on', 'CACHED', undefined], ['variant', 'ERROR', 'TYPE_MISMATCH'], ['config', 'CACHED', undefined], ['gone', 'ERROR', 'FLAG_NOT_FOUND'],
    ])
    assert.ok(reads.every(([, set]) => set === flags))
  })

  for (const [how, onRead] of [
    ['throws', () => { throw new Error('no room for exposures') }],
    ['rejects', async () => { throw new Error('no room for exposures') }],
  ]) {
    test(`${of}a hook that ${how} keeps nobody from reading, and is warned of once`, async (t) => {
      // As the process's warnings or on the console, whichever the platform has.
      const warnings = []
      const listener = ({ name, detail }) => name === 'FlagbearerWarning' && warnings.push(detail)
      process.on('warning', listener)
      t.after(() => process.off('warning', listener))
      t.mock.method(console, 'warn', (text) => warnings.push(text))
      const flags = await told(onRead)
      assert.equal(flags.getBooleanFlag('on', false), true)
      assert.equal(flags.getIntegerFlag('limit', 1), 5000)
      // Both are told, if they are, before the next task.
      await new Promise(setImmediate)
      assert.equal(warnings.length, 1)
      assert.match(warnings[0], /no room for exposures/)
    })
  }

  test(of + 'the same token again answers the same set, without a signature, for as long as it would be verified', async (t) => {
    const { issuer, reader } = await start(t)
    const offset = clock(t)
    const token = await issuer.token()
    const flags = await reader.verify(token)
    assert.equal(await reader.verify(token), flags)
    const [head, payload, signature] = token.split('.')
    const last = signature.at(-2) === 'A' ? 'B' : 'A'
    await assert.rejects(reader.verify([head, payload, signature.slice(0, -2) + last + signature.at(-1)].join('.')), refused('SIGNATURE_INVALID'))
    const [, other] = (await issuer.token({ sub: 'user_2' })).split('.')
    await assert.rejects(reader.verify([head, other, signature].join('.')), refused('SIGNATURE_INVALID'))
    assert.equal(await reader.verify(token), flags)
    offset.ms = 306_000
    await assert.rejects(reader.verify(token), refused('TOKEN_EXPIRED'))
  })

  test(of + 'keys are refreshed behind the scenes also where all tokens are remembered', async (t) => {
    const { issuer, reader } = await start(t)
    const offset = clock(t)
    const token = await issuer.token({ exp: Math.floor(Date.now() / 1000) + 7200 })
    await reader.verify(token)
    offset.ms = 3_600_000
    const asked = new Promise((resolve) => {
      issuer.answer = (request, response) => resolve(response.end(JSON.stringify(issuer.jwks)))
    })
    await reader.verify(token)
    await asked
  })

  test(of + 'a remembered token is refused once the key that signed it is withdrawn', async (t) => {
    const { issuer, reader } = await start(t)
    const token = await issuer.token()
    await reader.verify(token)
    await issuer.rotate('EdDSA')
    // Has the keys fetched again.
    await reader.verify(await issuer.token())
    await assert.rejects(reader.verify(token), refused('KEY_UNKNOWN'))
  })

  test(of + 'tokens are remembered up to a bound, and what is forgotten is collected', async (t) => {
    v8.setFlagsFromString('--expose-gc')
    const gc = vm.runInNewContext('gc')
    const issuer = new TestIssuer()
    const reader = new Flagbearer({ issuer: 'https://flags.example.com', audience: 'app', fetch: async () => new Response(issuer.jwks()) })
    const tokens = Array.from({ length: 2500 }, (_, number) => issuer.token({ flags: { number } }))
    const sets = []
    for (const token of tokens) sets.push(new WeakRef(await reader.verify(token)))
    // What a reference is asked for stays until the next task.
    await new Promise(setImmediate)
    gc()
    const kept = sets.filter((set) => set.deref() !== undefined).length
    assert.ok(kept >= 512 && kept <= 1024, `${kept} of ${sets.length} are kept`)
    assert.equal(sets[0].deref(), undefined)
    for (const [number, token] of tokens.entries()) assert.equal((await reader.verify(token)).getIntegerFlag('number', -1), number)
  })

  test(of + 'a hundred tokens at once wait for one fetch', async (t) => {
    const { issuer, reader } = await start(t)
    const token = await issuer.token()
    const sets = await Promise.all(Array.from({ length: 100 }, () => reader.verify(token)))
    assert.ok(sets.every((flags) => flags instanceof FlagSet))
    assert.equal(issuer.requests, 1)
  })

  test(of + 'a new key is found by the first token that names it, and unknown keys cause one fetch in thirty seconds', async (t) => {
    const { issuer, reader } = await start(t)
    await reader.verify(await issuer.token())
    await issuer.rotate('ES256')
    await reader.verify(await issuer.token())
    assert.equal(issuer.requests, 2)
    await refusesUnknownKeys(issuer, reader)
    assert.equal(issuer.requests, 2)
  })

  test(of + 'with the server down unknown keys have it asked once in thirty seconds, and tokens of known ones are verified', async (t) => {
    const { issuer, reader } = await start(t)
    await reader.verify(await issuer.token())
    issuer.answer = (request, response) => response.writeHead(503).end()
    const begun = Date.now()
    let seconds = 0
    t.mock.method(Date, 'now', () => begun + seconds * 1000)
    for (const [at, requests] of [[0, 2], [29, 2], [30, 3]]) {
      seconds = at
      await refusesUnknownKeys(issuer, reader)
      assert.equal(issuer.requests, requests)
      await reader.verify(await issuer.token({ jti: `token at ${at} s` }))
    }
  })

  test(of + 'three rotations refuse no token, neither of the new key nor of the one before', async (t) => {
    const { issuer, reader } = await start(t)
    const offset = clock(t)
    for (const [rotation, algorithm] of ['ES256', 'RS256', 'EdDSA'].entries()) {
      const { keys } = issuer.jwks
      const [old, unseen] = [await issuer.token(), await issuer.token({ jti: 'token_2' })]
      await reader.verify(old)
      await issuer.rotate(algorithm)
      issuer.jwks.keys.push(keys[0])
      offset.ms = 31_000 * (rotation + 1)
      const fresh = await issuer.token()
      for (const token of [fresh, old, unseen]) assert.ok((await reader.verify(token)).getBooleanFlag('new_ai_model', false))
    }
    assert.equal(issuer.requests, 4)
  })

  test(of + 'a clock that is five minutes off is told of', async (t) => {
    const { issuer, reader } = await start(t)
    const now = Math.floor(Date.now() / 1000)
    const early = await issuer.token({ iat: now, nbf: now, exp: now + 240 })
    const offset = clock(t)
    offset.ms = 300_000
    await assert.rejects(reader.verify(early), (error) => {
      assert.match(error.message, /expired (59|60|61) s ago by this clock; .*compare the clocks/)
      return refused('TOKEN_EXPIRED')(error)
    })
    offset.ms = -300_000
    await assert.rejects(reader.verify(early), (error) => {
      assert.match(error.message, /valid in (299|300|301) s by this clock; compare the clocks/)
      return refused('TOKEN_NOT_YET_VALID')(error)
    })
    // Ours do not say from when on they are good.
    await assert.rejects(reader.verify(await issuer.token({ iat: now, exp: now + 300 })), (error) => {
      assert.match(error.message, /issued (299|300|301) s from now by this clock; compare the clocks/)
      return refused('TOKEN_NOT_YET_VALID')(error)
    })
  })

  test(of + 'keys serve on while the server is down, and are refreshed behind the scenes when it is back', { timeout: 60_000 }, async (t) => {
    const { issuer, reader } = await start(t)
    const offset = clock(t)
    await reader.verify(await issuer.token())
    issuer.answer = (request, response) => response.writeHead(503).end()
    for (const hours of [0.1, 1, 12, 23]) {
      offset.ms = hours * 3_600_000
      await reader.verify(await issuer.token())
    }
    issuer.answer = (request, response) => response.end(JSON.stringify(issuer.jwks))
    offset.ms += 60_000
    const before = issuer.requests
    let asked = false
    once(issuer.server, 'request').then(() => (asked = true))
    // The last failure may still be on its way: each verification looks again whether a refresh is due.
    while (!asked) await reader.verify(await issuer.token())
    assert.equal(issuer.requests, before + 1)
  })

  for (const [name, told, answer] of [
    ['a status other than 200', /answered with status 404/, (request, response) => response.writeHead(404).end()],
    ['a page', /nothing that can be used/, (request, response) => response.end('<html>')],
    ['no keys', /nothing that can be used/, (request, response) => response.end('{"keys":[]}')],
    ['a connection that breaks off', /was not answered/, (request, response) => response.destroy()],
  ]) {
    test(`${of}${name} instead of keys makes them unavailable, and the server is not asked again at once`, async (t) => {
      const { issuer, reader } = await start(t)
      issuer.answer = answer
      for (let i = 0; i < 2; i++) {
        await assert.rejects(reader.verify(await issuer.token()), (error) => {
          assert.match(error.cause.message, told)
          assert.ok(error.cause.message.startsWith(`GET ${issuer.url}/.well-known/jwks.json `), error.cause.message)
          return refused('KEYS_UNAVAILABLE')(error)
        })
      }
      assert.equal(issuer.requests, 1)
    })
  }

  for (const [what, options] of [['keys', {}], ['a discovery document', { discovery: true }]]) {
    test(`${of}no redirect is followed to ${what}`, async (t) => {
      const { issuer } = await start(t)
      const { issuer: elsewhere } = await start(t)
      for (const [status, requests] of [[301, 1], [302, 2], [303, 3], [307, 4], [308, 5]]) {
        issuer.answer = ({ url }, response) => response.writeHead(status, { location: elsewhere.url + url }).end()
        const discovery = { issuer: issuer.url, jwks_uri: `${elsewhere.url}/keys` }
        elsewhere.answer = ({ url }, response) => response.end(JSON.stringify(url.endsWith('openid-configuration') ? discovery : issuer.jwks))
        const reader = new Flagbearer({ issuer: issuer.url, audience: 'api', ...options })
        await assert.rejects(reader.verify(await issuer.token()), (error) => {
          assert.match(error.cause.message, new RegExp(`answered with status ${status}$`))
          return refused('KEYS_UNAVAILABLE')(error)
        })
        assert.deepEqual([issuer.requests, elsewhere.requests], [requests, 0], `${status}`)
      }
    })
  }

  test(of + 'a key set is read up to one mebibyte', async (t) => {
    const { issuer, reader } = await start(t)
    let bytes = 1024 * 1024 + 1
    issuer.answer = (request, response) => response.end(JSON.stringify(issuer.jwks).padEnd(bytes))
    await assert.rejects(reader.verify(await issuer.token()), refused('KEYS_UNAVAILABLE'))
    bytes--
    await new Flagbearer({ issuer: issuer.url, audience: 'api' }).verify(await issuer.token())
  })

  test(of + 'a server that writes on and on is hung up on', async (t) => {
    const { issuer, reader } = await start(t)
    const written = issuer.writeOnAndOn()
    await assert.rejects(reader.verify(await issuer.token()), refused('KEYS_UNAVAILABLE'))
    const bytes = await written
    assert.ok(bytes < ENDLESS_BYTES, `${bytes} bytes`)
  })

  test(of + 'a server that never answers is given up after five seconds', async (t) => {
    const { issuer, reader } = await start(t)
    issuer.answer = () => {}
    const begin = process.hrtime.bigint()
    await assert.rejects(reader.verify(await issuer.token()), refused('KEYS_UNAVAILABLE'))
    const seconds = Number(process.hrtime.bigint() - begin) / 1e9
    assert.ok(seconds > 4 && seconds < 15, `${seconds} s`)
  })

  test(of + 'keys are found at another address, or by discovery', async (t) => {
    const { issuer } = await start(t)
    const urls = []
    issuer.answer = ({ url }, response) => {
      urls.push(url)
      const discovery = { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }
      response.end(JSON.stringify(url.endsWith('openid-configuration') ? discovery : issuer.jwks))
    }
    for (const options of [{ jwksUri: `${issuer.url}/direct` }, { discovery: true }, {}]) {
      await new Flagbearer({ issuer: issuer.url, audience: 'api', ...options }).verify(await issuer.token())
    }
    assert.deepEqual(urls, ['/direct', '/.well-known/openid-configuration', '/keys', '/.well-known/jwks.json'])
  })

  test(of + 'settings that cannot work are refused when the reader is made', () => {
    const issuer = 'https://flags.example.com'
    for (const options of [
      undefined, null, {}, 'x', { issuer }, { issuer: 5, audience: 'api' }, { issuer: null, audience: 'api' }, { issuer, audience: null }, { issuer: 'flags', audience: 'api' }, { issuer, audience: '' },
      { issuer, audience: ['api'] }, { issuer, clientId: 'app_1' }, { issuer, audience: 'api', clientId: 'app_1', profile: 'kinde' },
      { issuer, audience: 'api', profile: 'auth0' }, { issuer, audience: 'api', leeway: 61 }, { issuer, audience: 'api', leeway: '5' },
      { issuer, audience: 'api', leeway: NaN },
      { issuer, audience: 'api', jwksUri: 'file:///etc/passwd' }, { issuer, audience: 'api', audiance: 'typo' }, { issuer, audience: 'api', fetch: 5 },
    ]) {
      assert.throws(() => new Flagbearer(options), (error) => {
        assert.doesNotMatch(error.message, /rust|native|field/i, 'told in words of this side')
        return refused('CONFIGURATION_INVALID')(error)
      })
    }
    new Flagbearer({ issuer, audience: 'api', clientId: null, fetch: null, onRead: undefined })
  })
}

module.exports = { readerBehaves }
