// @kinde/js-utils and @kinde/jwt-validator: the code exchange, readers, refreshing, the account API.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  IssuerRouteTypes,
  MemoryStorage,
  RefreshType,
  StorageKeys,
  exchangeAuthCode,
  frameworkSettings,
  generateAuthUrl,
  getClaim,
  getCurrentOrganization,
  getFlag,
  getFlagSync,
  getPermission,
  getRoles,
  getUserOrganizations,
  getUserProfile,
  has,
  isAuthenticated,
  refreshToken,
  setActiveStorage,
  setInsecureStorage,
} from '@kinde/js-utils'
import { validateToken } from '@kinde/jwt-validator'
import { ALICE_ID, ORGANIZATION, REDIRECT_URL, install, signIn } from './installation.js'

let installation
let clientId
const storage = new MemoryStorage()

before(async () => {
  installation = await install()
  ;({ clientId } = await installation.application({ public: true }))
  frameworkSettings.framework = 'none'
  frameworkSettings.frameworkVersion = '1'
  setActiveStorage(storage)
  setInsecureStorage(storage)
})
after(() => installation?.stop())

test('signs in through the page, and holds all three tokens', async () => {
  const domain = installation.issuer
  const { url } = await generateAuthUrl(domain, IssuerRouteTypes.login, { clientId, redirectURL: REDIRECT_URL, audience: '' })
  const { searchParams: urlParams } = await signIn(url)
  const result = await exchangeAuthCode({ urlParams, domain, clientId, redirectURL: REDIRECT_URL })
  assert.equal(result.success, true, result.error)
  for (const key of [StorageKeys.accessToken, StorageKeys.idToken, StorageKeys.refreshToken]) {
    assert.equal(await storage.getSessionItem(key), result[key])
  }
  assert.equal(await isAuthenticated(), true)
})

test('a code is good for one use', async () => {
  const other = new MemoryStorage()
  setActiveStorage(other)
  setInsecureStorage(other)
  try {
    const domain = installation.issuer
    const { url } = await generateAuthUrl(domain, IssuerRouteTypes.login, { clientId, redirectURL: REDIRECT_URL })
    const { searchParams: urlParams } = await signIn(url)
    const [state, verifier] = await Promise.all([StorageKeys.state, StorageKeys.codeVerifier].map((key) => other.getSessionItem(key)))
    const exchange = () => exchangeAuthCode({ urlParams, domain, clientId, redirectURL: REDIRECT_URL })
    assert.equal((await exchange()).success, true)
    await other.setItems({ [StorageKeys.state]: state, [StorageKeys.codeVerifier]: verifier })
    assert.match((await exchange()).error, /400 .*invalid_grant/)
  } finally {
    setActiveStorage(storage)
    setInsecureStorage(storage)
  }
})

test('both tokens are valid by the keys that are published', async () => {
  for (const key of [StorageKeys.accessToken, StorageKeys.idToken]) {
    const token = await storage.getSessionItem(key)
    assert.deepEqual(await validateToken({ token, domain: installation.issuer }), { valid: true, message: 'Token is valid' })
    const [header, payload, signature] = token.split('.')
    const forged = [header, payload, `${signature.slice(0, -8)}AAAAAAAA`].join('.')
    assert.equal((await validateToken({ token: forged, domain: installation.issuer })).valid, false)
  }
})

test('says who the user is', async () => {
  const { id, email, givenName, familyName } = await getUserProfile()
  assert.deepEqual([id, email, givenName, familyName], [ALICE_ID, 'alice@example.com', 'Alice', 'Adams'])
  assert.equal(await getCurrentOrganization(), ORGANIZATION)
  assert.deepEqual(await getUserOrganizations(), [ORGANIZATION])
  assert.deepEqual(await getRoles(), [{ id: 'admin', key: 'admin', name: 'admin' }])
  assert.equal((await getPermission('reports:view')).isGranted, true)
  assert.equal((await getClaim('email')).value, 'alice@example.com')
})

test('reads flags of every type', async () => {
  assert.equal(await getFlag('new_ai_model'), false)
  assert.equal(getFlagSync('ai_token_limit'), 1000)
  assert.equal(await getFlag('zero'), 0)
  assert.equal(await getFlag('empty'), '')
  assert.equal(await getFlag('prompt_variant'), 'control')
  assert.deepEqual(await getFlag('model_config'), { temperature: 0.7, max_tokens: 500 })
  assert.equal(await getFlag('absent'), null)
  assert.equal(await has({ featureFlags: ['new_ai_model', { flag: 'prompt_variant', value: 'control' }] }), true)
  assert.equal(await has({ featureFlags: [{ flag: 'new_ai_model', value: true }] }), false)
  assert.equal(await has({ featureFlags: ['absent'] }), false)
})

test('the account API tells at once what a token tells after a refresh', async () => {
  const fresh = { forceApi: true }
  await installation.override('new_ai_model', true)
  await installation.override('model_config', { temperature: 1 })
  assert.equal(await getFlag('new_ai_model'), false)
  assert.equal(await getFlag('new_ai_model', fresh), true)
  assert.deepEqual(await getFlag('model_config', fresh), { temperature: 1 })
  assert.equal(await getFlag('zero', fresh), 0)
  assert.equal(await getFlag('absent', fresh), null)
  assert.equal(await has({ featureFlags: [{ flag: 'new_ai_model', value: true }], forceApi: true }), true)

  const result = await refreshToken({ domain: installation.issuer, clientId, refreshType: RefreshType.refreshToken })
  assert.equal(result.success, true, result.error)
  assert.equal(await getFlag('new_ai_model'), true)
  assert.deepEqual(await getFlag('model_config'), { temperature: 1 })
})

test('a server that cannot write just now does not sign the user out', async () => {
  const settings = { domain: installation.issuer, clientId, refreshType: RefreshType.refreshToken }
  const before = await storage.getSessionItem(StorageKeys.refreshToken)
  assert.equal((await installation.whileBusy(() => refreshToken(settings))).success, false)
  assert.equal(await storage.getSessionItem(StorageKeys.refreshToken), before)
  assert.equal(await isAuthenticated(), true)
  const result = await refreshToken(settings)
  assert.equal(result.success, true, result.error)
})

test('an ended session is told as such, by the token endpoint and the account API', async () => {
  await installation.endSessions()
  const refused = await refreshToken({ domain: installation.issuer, clientId, refreshType: RefreshType.refreshToken })
  assert.equal(refused.success, false)
  const token = await storage.getSessionItem(StorageKeys.accessToken)
  const response = await fetch(`${installation.issuer}/account_api/v1/feature_flags`, {
    headers: { authorization: `Bearer ${token}` },
  })
  assert.equal(response.status, 401)
  assert.match(response.headers.get('www-authenticate'), /error="invalid_token"/)
})
