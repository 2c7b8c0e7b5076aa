// `workos.featureFlags` of each version: the calls that list and change flags, and the client that evaluates by itself.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { install } from './installation.js'
import { SDKS } from './sdks.js'

let server
let application
let admin
before(async () => {
  server = await install()
  application = await server.application()
  await server.user('user_ada', ['org_x'])
  await server.user('user_bob', ['org_y'])
  admin = application.apiKey
  for (let i = 0; i < 100; i += 1) await server.flag(`flag-${i}`)
})
after(() => server?.stop())

const client = ({ WorkOS }, more) => new WorkOS(admin, { clientId: application.clientId, ...server.place, ...more })

/** The flags that are on for somebody, by the call of the version. */
const onFor = {
  organization: (workos, major, organizationId) =>
    major === 8
      ? workos.organizations.listOrganizationFeatureFlags({ organizationId })
      : workos.featureFlags.listOrganizationFeatureFlags({ organizationId }),
  user: (workos, major, userId) =>
    major === 8 ? workos.userManagement.listUserFeatureFlags({ userId }) : workos.featureFlags.listUserFeatureFlags({ userId }),
}
const slugs = ({ data }) => data.map(({ slug }) => slug)

for (const sdk of SDKS) {
  describe(`@workos-inc/node ${sdk.version}`, () => {
    const own = (name) => `${name}-${sdk.major}`

    test('flags are listed to the end, read, switched and targeted', async () => {
      const workos = client(sdk)
      await server.flag(own('listed'), { name: 'Listed', description: 'a flag', tags: ['a'] })
      const flag = await workos.featureFlags.getFeatureFlag(own('listed'))
      assert.deepEqual(
        [flag.object, flag.slug, flag.name, flag.description, flag.tags, flag.enabled, flag.defaultValue],
        ['feature_flag', own('listed'), 'Listed', 'a flag', ['a'], true, false],
      )
      const first = await workos.featureFlags.listFeatureFlags({ limit: 1 })
      assert.deepEqual(slugs(first), [own('listed')], 'the newest')
      const second = await workos.featureFlags.listFeatureFlags({ limit: 1, after: first.listMetadata.after })
      assert.notDeepEqual(slugs(second), slugs(first))
      const all = await (await workos.featureFlags.listFeatureFlags()).autoPagination()
      const { data: known } = await server.call('GET', '/flags?limit=200')
      assert.ok(known.length > 100, 'more than fit on a page')
      assert.deepEqual(all.map(({ slug }) => slug).sort(), known.map(({ key }) => key).sort())

      const targets = { slug: own('listed') }
      await workos.featureFlags.addFlagTarget({ ...targets, targetId: 'org_x' })
      await workos.featureFlags.addFlagTarget({ ...targets, targetId: 'user_bob' })
      assert.ok(slugs(await onFor.organization(workos, sdk.major, 'org_x')).includes(own('listed')))
      assert.ok(!slugs(await onFor.organization(workos, sdk.major, 'org_y')).includes(own('listed')))
      assert.ok(slugs(await onFor.user(workos, sdk.major, 'user_ada')).includes(own('listed')), 'by her organization')
      assert.ok(slugs(await onFor.user(workos, sdk.major, 'user_bob')).includes(own('listed')), 'by himself')
      await workos.featureFlags.removeFlagTarget({ ...targets, targetId: 'user_bob' })
      assert.ok(!slugs(await onFor.user(workos, sdk.major, 'user_bob')).includes(own('listed')))

      assert.equal((await workos.featureFlags.disableFeatureFlag(own('listed'))).enabled, false)
      assert.equal(await server.served(own('listed'), { organizationId: 'org_x' }), false)
      assert.equal((await workos.featureFlags.enableFeatureFlag(own('listed'))).enabled, true)
      assert.equal(await server.served(own('listed'), { organizationId: 'org_x' }), true)

      const { data: changes } = await server.call('GET', `/changes?flag=${own('listed')}&limit=1`)
      assert.deepEqual([changes[0].actor.type, changes[0].actor.name], ['api_key', 'WorkOS'])
    })

    test('refusals are the exceptions of the SDK', async () => {
      const workos = client(sdk)
      const missing = await workos.featureFlags.getFeatureFlag('nope').catch((error) => error)
      assert.deepEqual([missing.name, missing.status, missing.code], ['NotFoundException', 404, 'FLAG_NOT_FOUND'])
      assert.match(missing.message, /no flag `nope`/)
      // 8.13 asks its headers, a `Headers`, as if they were an object.
      if (sdk.major > 8) assert.ok(missing.requestID)
      const unknown = await new sdk.WorkOS('fb_production_x', server.place).featureFlags.listFeatureFlags().catch((error) => error)
      assert.deepEqual([unknown.name, unknown.status], ['UnauthorizedException', 401])
      const bad = await workos.featureFlags.listFeatureFlags({ after: 'nope' }).catch((error) => error)
      assert.deepEqual([bad.name, bad.status, bad.code], ['BadRequestException', 400, 'PARAMETER_INVALID'])
      await server.flag(own('all'))
      await server.target(own('all'), { audience: 'all' })
      const refused = await workos.featureFlags.removeFlagTarget({ slug: own('all'), targetId: 'org_x' }).catch((error) => error)
      assert.deepEqual([refused.name, refused.status], ['UnprocessableEntityException', 422])
      assert.match(refused.message, /everybody is targeted/)
      // A call that WorkOS has and Flagbearer has not is an exception as well, and not a crash over its shape.
      const uncovered = await workos.userManagement.listInvitations().catch((error) => error)
      assert.deepEqual([uncovered.name, uncovered.code], ['NotFoundException', 'CALL_NOT_COVERED'])
    })

    test('the runtime client evaluates to what the issuer serves, and sees a flag turn', { timeout: 30_000 }, async () => {
      const settings = {
        nobody: {},
        some: { rules: [{ audience: { type: 'some', users: ['user_ada'], organizations: ['org_y'] }, serve: { value: true } }] },
        all: { rules: [{ audience: { type: 'all' }, serve: { value: true } }] },
        value: { value: true },
        off: { enabled: false, value: true },
      }
      for (const [name, setting] of Object.entries(settings)) {
        await server.flag(own(name + '-r'))
        await server.call('PUT', `/flags/${own(name + '-r')}/environments/production`, { enabled: true, ...setting })
      }
      await server.flag(own('rollout-r'))
      const rollout = { audience: { type: 'all' }, rollout: { by: 'user', percentage: 50 }, serve: { value: true } }
      await server.call('PUT', `/flags/${own('rollout-r')}/environments/production`, { enabled: true, rules: [rollout] })

      const runtime = client(sdk).featureFlags.createRuntimeClient({ pollingIntervalMs: 5000 })
      try {
        await runtime.waitUntilReady({ timeoutMs: 10_000 })
        for (const name of Object.keys(settings)) {
          for (const userId of ['user_ada', 'user_bob', undefined]) {
            for (const organizationId of ['org_x', 'org_y', undefined]) {
              const here = { userId, organizationId }
              const served = await server.served(own(name + '-r'), here)
              assert.equal(runtime.isEnabled(own(name + '-r'), here), served, `${name} for ${JSON.stringify(here)}`)
            }
          }
        }
        // Percentages cannot be told to it: the caller's default holds, and an administrator can find out why.
        assert.equal(runtime.isEnabled(own('rollout-r'), { userId: 'user_ada' }, true), true)
        assert.equal(runtime.isEnabled(own('rollout-r'), { userId: 'user_ada' }, false), false)
        const { data: leftOut } = await server.call('GET', '/environments/production/left-out-flags')
        assert.ok(leftOut.some(({ flag }) => flag === own('rollout-r')))

        const turned = new Promise((resolve) => runtime.on('change', resolve))
        await server.target(own('nobody-r'), { audience: 'all' })
        await turned
        assert.equal(runtime.isEnabled(own('nobody-r'), { userId: 'user_bob' }), true)
      } finally {
        runtime.close()
      }
    })
  })
}
