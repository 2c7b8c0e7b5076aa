// @kinde/management-api-js: an existing script manages flags with a machine token.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Environments, FeatureFlags, Organizations, Users, init } from '@kinde/management-api-js'
import { ALICE_ID, ORGANIZATION, install } from './installation.js'

const PERMISSIONS = [
  'create:feature_flags',
  'update:feature_flags',
  'delete:feature_flags',
  'read:environment_feature_flags',
  'update:environment_feature_flags',
  'delete:environment_feature_flags',
  'read:organization_feature_flags',
  'update:organization_feature_flags',
  'delete:organization_feature_flags',
  'update:user_feature_flags',
]

const flag = {
  name: 'Beta export',
  description: 'PDF',
  key: 'beta_export',
  type: 'bool',
  allow_override_level: 'usr',
  default_value: 'false',
}

let installation

/** Makes the package act as an application with these permissions. */
async function become(permissions) {
  const application = await installation.application({ name: 'Deployment script', permissions })
  const kindeDomain = installation.issuer
  init({ kindeDomain, ...application, token: '', audience: `${kindeDomain}/api` })
  return application
}

const served = async (environment = 'production') => {
  const query = `environment=${environment}&user=${ALICE_ID}&organization=${ORGANIZATION}`
  return (await installation.call('GET', `/evaluate?${query}`)).flags.beta_export.value
}

before(async () => {
  installation = await install()
})
after(() => installation?.stop())

test('a script takes a flag through its life', async () => {
  const { clientId } = await become(PERMISSIONS)
  assert.equal((await FeatureFlags.createFeatureFlag({ requestBody: flag })).code, 'FEATURE_FLAG_CREATED')
  assert.equal(await served(), false)

  const featureFlagKey = flag.key
  await Environments.updateEnvironementFeatureFlagOverride({ featureFlagKey, requestBody: { value: 'true' } })
  assert.equal(await served(), true)
  assert.equal(await served('staging'), false)
  const { feature_flags: here } = await Environments.getEnvironementFeatureFlags()
  assert.deepEqual(here, { beta_export: { type: 'bool', value: 'true' } })

  await Organizations.updateOrganizationFeatureFlagOverride({ orgCode: ORGANIZATION, featureFlagKey, value: 'false' })
  assert.equal(await served(), false)
  const { feature_flags: theirs } = await Organizations.getOrganizationFeatureFlags({ orgCode: ORGANIZATION })
  assert.deepEqual(theirs, { beta_export: { type: 'bool', value: 'false' } })

  await Users.updateUserFeatureFlagOverride({ userId: ALICE_ID, featureFlagKey, value: 'true' })
  assert.equal(await served('staging'), true)
  await installation.call('DELETE', `/flags/beta_export/users/${ALICE_ID}`)

  await Organizations.deleteOrganizationFeatureFlagOverride({ orgCode: ORGANIZATION, featureFlagKey })
  assert.equal(await served(), true)
  await Organizations.deleteOrganizationFeatureFlagOverrides({ orgCode: ORGANIZATION })
  await Environments.deleteEnvironementFeatureFlagOverride({ featureFlagKey })
  assert.equal(await served(), false)
  await Environments.deleteEnvironementFeatureFlagOverrides()

  const { allow_override_level: allowOverrideLevel, default_value: _, ...rest } = flag
  await FeatureFlags.updateFeatureFlag({ ...rest, allowOverrideLevel, featureFlagKey, defaultValue: 'true' })
  assert.equal(await served(), true)
  await FeatureFlags.deleteFeatureFlag({ featureFlagKey })

  const { data: changes } = await installation.call('GET', `/changes?actor=${clientId}&limit=200`)
  assert.ok(changes.length >= 9)
  for (const { actor } of changes) assert.deepEqual([actor.type, actor.name], ['application', 'Deployment script'])
})

test('an application may do what it has the permission for, and no more', async () => {
  await become(['read:environment_feature_flags'])
  await Environments.getEnvironementFeatureFlags()
  for (const refused of [
    () => FeatureFlags.createFeatureFlag({ requestBody: flag }),
    () => Environments.deleteEnvironementFeatureFlagOverrides(),
    () => Organizations.getOrganizationFeatureFlags({ orgCode: ORGANIZATION }),
    () => Users.updateUserFeatureFlagOverride({ userId: ALICE_ID, featureFlagKey: 'zero', value: '1' }),
  ]) {
    // The package waits for its answers in a promise of its own kind.
    await assert.rejects(async () => refused(), ({ status, body }) => status === 403 && body.errors[0].code === 'FORBIDDEN')
  }
})
