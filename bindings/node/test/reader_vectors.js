'use strict'

// What the shared vectors ask of readers, as tests/vectors/README.md describes them, of whichever reader: that of the addon, or that
// of WebAssembly, in Node or elsewhere. Each function answers its cases by what they show. `testing` has the doors of the reader's
// core; `read` answers a file of vectors, and `at` takes what answers the clock's second from then on.

const TYPES = { boolean: 'getBooleanFlag', string: 'getStringFlag', integer: 'getIntegerFlag' }

const judging = ({ FlagbearerError, assert }) => ({
  /** Runs each case under its name; a list without cases proves nothing. */
  async each(list, run) {
    assert.ok(list.length > 0)
    for (const item of list) {
      try {
        await run(item)
      } catch (error) {
        error.message = `${item.name}: ${error.message}`
        throw error
      }
    }
  },

  /** The code that `work` fails with, or nothing when it does not. */
  async codeOf(work) {
    try {
      await work()
    } catch (error) {
      assert.ok(error instanceof FlagbearerError, error.stack)
      return error.code
    }
  },
})

/** What every reader reads. */
function readerVectors({ testing, read, assert, at, Flagbearer, FlagSet, FlagbearerError }) {
  const { each, codeOf } = judging({ FlagbearerError, assert })
  return {
    'tokens.json: every token is accepted with its claims or refused with its code': async () => {
      const { now, jwks, verifiers, cases } = read('tokens.json')
      at(() => now)
      const reader = ({ issuer, audience, client_id: clientId, profile, leeway }) =>
        new Flagbearer({ issuer, audience, clientId, profile, leeway, fetch: async () => Response.json(jwks) })
      const readers = Object.fromEntries(Object.entries(verifiers).map(([name, settings]) => [name, reader(settings)]))
      assert.ok(cases.length > 200)
      for (const { name, verifier, token, expect } of cases) {
        const outcome = await readers[verifier].verify(token).catch((error) => error)
        if (outcome instanceof Error) {
          assert.ok(outcome instanceof FlagbearerError, `${name}: ${outcome.stack}`)
          assert.equal(outcome.code, expect.error, name)
          continue
        }
        assert.equal(expect.error, undefined, `${name} was accepted`)
        const { claims } = expect
        assert.deepEqual(outcome.claims, claims, name)
        assert.equal(outcome.organization, claims.org_id ?? claims.org_code ?? null, name)
        assert.equal(outcome.flagsRevision, claims.flags_rev ?? null, name)
        const carried = Array.isArray(claims.feature_flags)
          ? claims.feature_flags.map((key) => [key, true])
          : Object.entries(claims.feature_flags ?? {}).map(([key, { v }]) => [key, v])
        assert.deepEqual({ ...outcome.getAllFlags() }, Object.fromEntries(carried), name)
      }
    },
    'claims.json: every claim is read or refused with its code': async () => {
      await each(read('claims.json').decode, async ({ claim, expect }) => {
        assert.equal(await codeOf(() => testing.flagSetOfClaim(claim)), expect.error)
        if (expect.error !== undefined) return
        const flags = testing.flagSetOfClaim(claim)
        const read = Object.entries(flags.getAllFlags()).map(([key, value]) => [key, { type: flags.getFlag(key, null).type, value }])
        assert.deepEqual(new Map(read), new Map(Object.entries(expect.flags)))
        for (const [key, code] of Object.entries(expect.unreadable ?? {})) assert.equal(flags.getFlag(key, null).errorCode, code)
      })
    },
    'getters.json: every getter answers the value or the default and why': async () => {
      const { cases, defaults } = read('getters.json')
      await each(cases, async ({ claim, key, expect }) => {
        const flags = testing.flagSetOfClaim(claim)
        for (const fallback of defaults) {
          for (const [type, expected] of Object.entries(expect)) {
            const defaultValue = fallback[type]
            const value = 'value' in expected ? expected.value : defaultValue
            for (const name of [type, type[0]]) {
              const details = flags.getFlag(key, defaultValue, name)
              // Through JSON, where −0 and 0 are one number, as they are not for assert.
              assert.deepEqual(JSON.parse(JSON.stringify(details.value)), value)
              assert.equal(details.errorCode, expected.error)
              assert.deepEqual([details.code, details.type, details.defaultValue], [key, type, defaultValue])
              assert.deepEqual([details.is_default, details.reason], 'error' in expected ? [true, 'ERROR'] : [false, 'CACHED'])
            }
            if (type in TYPES) assert.ok(Object.is(flags[TYPES[type]](key, defaultValue), value))
          }
        }
      })
    },
    'flag_sets.json: a set of values has their types, or is refused with the place of the fault': async () => {
      await each(read('flag_sets.json').cases, async ({ flags, expect, error }) => {
        let set
        try {
          set = FlagSet.of(flags)
        } catch ({ code, pointer }) {
          return assert.deepEqual({ code, pointer }, error)
        }
        const keys = Object.keys(set.getAllFlags())
        const found = keys.map((key) => set.getFlag(key)).map(({ code, type, value }) => [code, { type, value }])
        assert.deepEqual(Object.fromEntries(found), expect)
      })
    },
    'getters.json: two sets differ in the keys that are listed': async () => {
      await each(read('getters.json').changes, async ({ older, newer, changed }) => {
        const [before, after] = [older, newer].map(testing.flagSetOfClaim)
        assert.deepEqual(after.changedFrom(before), changed)
        assert.deepEqual(before.changedFrom(after), changed)
      })
    },
    'jwks.json: every set gives its usable keys, and published signatures are valid': async () => {
      const { sets, signatures } = read('jwks.json')
      await each(sets, async ({ jwks, usable, error }) => {
        assert.equal(await codeOf(() => assert.deepEqual(testing.usableKeys(jwks), usable)), error)
      })
      await each(signatures, async ({ jwk, input, signature, valid }) => {
        const set = JSON.stringify({ keys: [jwk] })
        assert.equal(await testing.signatureValid(set, Buffer.from(input), Buffer.from(signature, 'base64url')), valid)
      })
    },
  }
}

/** What Node's reader alone has: a watermark that is followed, tokens that are asked for, and cookies that keep them. */
function sessionVectors({ testing, read, assert, at, Flagbearer, FlagbearerError }) {
  const { each, codeOf } = judging({ FlagbearerError, assert })
  return {
    'watermarks.json: every watermark is believed or refused, and overrules what it should': async () => {
      const { issuer, jwks, cases } = read('watermarks.json')
      let now
      at(() => now)
      await each(cases, async ({ watermarks, token, reads, all, stale, state }) => {
        const told = watermarks.map(({ at, watermark }) => ({ at, watermark }))
        const { outcomes, flagSet } = await testing.followWatermarks({ issuer, jwks, watermarks: told })
        assert.deepEqual(outcomes.map((code) => code ?? undefined), watermarks.map(({ error }) => error))
        const flags = flagSet(token)
        for (const { key, type, default: defaultValue, value, reason, error } of reads) {
          for (const name of [type, type[0]]) {
            const details = flags.getFlag(key, defaultValue, name)
            assert.deepEqual([details.value, details.reason, details.errorCode], [value, reason, error], key)
            assert.equal(details.is_default, error !== undefined, key)
          }
          if (error === undefined) assert.equal(flags.getFlag(key, defaultValue).type, type, key)
          if (type in TYPES) assert.equal(flags[TYPES[type]](key, defaultValue), value, key)
        }
        if (all !== undefined) assert.deepEqual({ ...flags.getAllFlags() }, all)
        now = watermarks.at(-1)?.at ?? 0
        if (stale !== undefined) assert.equal(flags.state === 'stale', stale)
        now = state?.at ?? now
        if (state !== undefined) assert.equal(flags.state, state.is)
      })
    },
    'sealed_sessions.json: every seal is made to the byte': async () => {
      await each(read('sealed_sessions.json').sealing, async ({ passwords, random, text, sealed }) => {
        assert.equal(await testing.sealWith(passwords, text, Buffer.from(random, 'hex')), sealed)
      })
    },
    'sealed_sessions.json: every seal is opened or refused with its code': async () => {
      const { now, unsealing } = read('sealed_sessions.json')
      await each(unsealing, async ({ passwords, sealed, text, error }) => {
        assert.equal(await codeOf(async () => assert.equal(await testing.unsealAt(passwords, sealed, now), text)), error)
      })
    },
    'sealed_sessions.json: every password is taken or refused with its code': async () => {
      const reader = new Flagbearer({ issuer: 'https://flags.example.com', audience: 'api' })
      await each(read('sealed_sessions.json').passwords, async ({ password, error }) => {
        assert.equal(await codeOf(() => reader.loadSealedSession({ sessionData: '', cookiePassword: password })), error)
      })
    },
    'token_answers.json: every answer to a request for tokens has its meaning': async () => {
      await each(read('token_answers.json').cases, async ({ status, retry_after: retryAfter, body, tokens, error, retry_seconds: retrySeconds }) => {
        assert.deepEqual(testing.tokenAnswer(status, retryAfter, body), tokens ?? { code: error, retry_seconds: retrySeconds })
      })
    },
  }
}

/**
 * Runs what every reader reads where there is no test runner, over the reader and the core of `edge.js`: answers what failed, by title, or `null`.
 */
async function readerOutcomes({ core, ...reader }, read, assert) {
  const testing = { ...core, flagSetOfClaim: (claim) => new reader.FlagSet(core.flagSetOfClaim(claim)) }
  const { now: real } = Date
  const at = (now) => (Date.now = () => now() * 1000)
  const outcomes = []
  for (const [title, run] of Object.entries(readerVectors({ ...reader, testing, read, assert, at }))) {
    outcomes.push([title, await run().then(() => null, (error) => error.stack)])
    Date.now = real
  }
  return outcomes
}

module.exports = { readerOutcomes, readerVectors, sessionVectors }
