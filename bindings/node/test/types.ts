// Not run: `tsc --noEmit` checks it in the tests, in the empty folder that the package is installed into.

import { Flagbearer, FlagSet, FlagbearerError, type ErrorCode, type FlagDetails } from '@flagbearer/node'
import { Flagbearer as EdgeFlagbearer } from '@flagbearer/node/edge'
import { flagbearer, type FlagbearerEnv } from '@flagbearer/node/hono'
import { FlagbearerProvider, reading } from '@flagbearer/node/openfeature'
import { FlagbearerProvider as WebProvider } from '@flagbearer/node/openfeature/web'
import { onRead } from '@flagbearer/node/opentelemetry'
import { TestIssuer, flagSetOfClaim } from '@flagbearer/node/testing'
import { OpenFeature } from '@openfeature/server-sdk'
import { OpenFeature as WebOpenFeature } from '@openfeature/web-sdk'
import { Hono } from 'hono'

const reader = new Flagbearer({ issuer: 'https://flags.example.com', audience: 'api', leeway: 5 })
new Flagbearer({ issuer: 'https://flags.example.com', clientId: 'app_1', profile: 'kinde' })
// @ts-expect-error a reader needs a recipient
new Flagbearer({ issuer: 'https://flags.example.com' })
// @ts-expect-error a client id needs a vendor's profile
new Flagbearer({ issuer: 'https://flags.example.com', clientId: 'app_1' })
// @ts-expect-error there is no such profile
new Flagbearer({ issuer: 'https://flags.example.com', clientId: 'app_1', profile: 'auth0' })
const atTheEdge: Promise<FlagSet> = new EdgeFlagbearer({ issuer: 'https://flags.example.com', audience: 'api' }).verify('')
void atTheEdge
// @ts-expect-error the watermark is followed in Node alone
new EdgeFlagbearer({ issuer: 'https://flags.example.com', audience: 'api', followWatermark: true })
// @ts-expect-error flag sets come from `verify`
new FlagSet()

export async function use(token: string | undefined): Promise<ErrorCode | undefined> {
  try {
    const flags: FlagSet = await reader.verify(token)
    const on: boolean = flags.getBooleanFlag('new_ai_model', false)
    const limit: number = flags.getIntegerFlag('ai_token_limit', 1000)
    const variant: string = flags.getStringFlag('prompt_variant', 'control')
    const config: FlagDetails<{ model: string }> = flags.getFlag('model_config', { model: 'gpt-4o' }, 'j')
    // @ts-expect-error a boolean flag has a boolean default
    flags.getBooleanFlag('new_ai_model', 'no')
    // @ts-expect-error there is no such type
    flags.getFlag('model_config', {}, 'number')
    const changed: string[] = flags.changedFrom(flagSetOfClaim('{}'))
    const revision: number | null = flags.flagsRevision
    console.log(on, limit, variant, config.value.model, changed, revision, flags.claims['sub'], flags.organization?.length)
  } catch (error) {
    if (error instanceof FlagbearerError) return error.code
    throw error
  }
}

new Flagbearer({ issuer: 'https://flags.example.com', audience: 'api', onRead })
new Flagbearer({ issuer: 'https://flags.example.com', audience: 'api', onRead: ({ code, reason }, flags) => console.log(code, reason, flags.organization) })
// @ts-expect-error a hook is a function
new Flagbearer({ issuer: 'https://flags.example.com', audience: 'api', onRead: 'log' })

const issuer = new TestIssuer({ profile: 'kinde' })
const minted: string = issuer.token({ flags: { on: true }, organization: 'org_a', flagsRevision: 2, expiresIn: 60 })
issuer.flagbearer({ leeway: 0, onRead }).verify(minted)
// @ts-expect-error there is no such profile
new TestIssuer({ profile: 'auth0' })

OpenFeature.setProvider(new FlagbearerProvider())
const read: Promise<boolean> = reading(FlagSet.of({ on: true }), () => OpenFeature.getClient().getBooleanValue('on', false))
const provider = new WebProvider(FlagSet.of({ on: true }).pick('all'))
WebOpenFeature.setProvider(provider)
provider.setFlags(FlagSet.of({}).pick(['on']))
// @ts-expect-error a browser is given picked flags
provider.setFlags({ on: true })
console.log(read)

const app = new Hono<FlagbearerEnv>()
app.use(flagbearer({ issuer: 'https://flags.example.com', audience: 'api' }))
app.get('/', (c) => c.json(c.get('flags').getBooleanFlag('new_ai_model', false)))
// @ts-expect-error only flags are set
app.get('/', (c) => c.json(c.get('flag')))

export async function session(sessionData: string | undefined): Promise<string | null> {
  const cookiePassword = { 1: 'old', 2: 'new' }
  reader.sealSession({ accessToken: 'a', refreshToken: 'r', user: { id: 'u' } }, { cookiePassword, cookieName: 'session' })
  // @ts-expect-error a session has both tokens
  reader.sealSession({ accessToken: 'a' }, { cookiePassword })
  // @ts-expect-error a password is required
  reader.loadSealedSession({ sessionData })
  const loaded = reader.loadSealedSession({ sessionData, cookiePassword })
  const read = await loaded.authenticate()
  // @ts-expect-error there are flags only of somebody who is signed in
  read.flags
  if (read.authenticated) console.log(read.flags.getBooleanFlag('new_ai_model', false))
  else console.log(read.code)
  const { sealedSession, featureFlags, changed } = await loaded.refresh({ organization: 'org_1' })
  console.log(featureFlags, changed.length)
  const refreshed = await loaded.refresh()
  if (refreshed.refreshed) console.log(refreshed.sealedSession.length, refreshed.flags.organization)
  else if (refreshed.sealedSession !== null) console.log(refreshed.retryAfter)
  const tokens = await reader.refreshTokens({ accessToken: 'a', refreshToken: 'r' })
  const told: boolean = await reader.revoke(tokens)
  console.log(told, tokens.flags.flagsRevision)
  return sealedSession
}
