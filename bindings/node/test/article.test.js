'use strict'

// The token of the article that this project began with, out of a running server, read here.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { Flagbearer } = require('@flagbearer/node')

const FLAGS = {
  new_ai_model: ['boolean', false, 'b'],
  ai_token_limit: ['integer', 1000, 'i'],
  prompt_variant: ['string', 'control', 's'],
  model_config: ['json', { temperature: 0.7, max_tokens: 500 }, 'j'],
}

test('the claim of the article comes out of a running server, and every getter answers', async (t) => {
  const { startFlagbearer } = await import('../../../examples/hono/flagbearer.js')
  const server = await startFlagbearer()
  t.after(() => server.stop())
  for (const [key, [type, defaultValue]] of Object.entries(FLAGS)) {
    await server.call('POST', '/flags', { key, type, default_value: defaultValue })
  }
  await server.call('POST', '/organizations', { id: 'org_xyz789' })
  await server.call('POST', '/users', { id: 'kp_abc123', email: 'alice@example.com' })
  await server.call('PUT', '/organizations/org_xyz789/members/kp_abc123', { permissions: ['reports:view'] })
  const application = await server.application('production')
  const tokens = await server.startSession(application, 'kp_abc123', 'org_xyz789')

  const flagbearer = new Flagbearer({ issuer: application.issuer, audience: application.audience })
  const flags = await flagbearer.verify(tokens.access_token)
  const { sub, org_id: organization, permissions, feature_flags: claim } = flags.claims
  assert.deepEqual({ sub, organization, permissions }, { sub: 'kp_abc123', organization: 'org_xyz789', permissions: ['reports:view'] })
  assert.deepEqual(claim, Object.fromEntries(Object.entries(FLAGS).map(([key, [, v, t]]) => [key, { t, v }])))
  assert.deepEqual(tokens.feature_flags, claim)

  assert.equal(flags.getBooleanFlag('new_ai_model', true), false)
  assert.equal(flags.getIntegerFlag('ai_token_limit', 1), 1000)
  assert.equal(flags.getStringFlag('prompt_variant', 'other'), 'control')
  assert.deepEqual(flags.getFlag('model_config', {}, 'j').value, { temperature: 0.7, max_tokens: 500 })

  // A changed rule is in the next refresh, and in what a backend reads from it.
  await server.target('new_ai_model', 'production', { audience: 'some', organizations: ['org_xyz789'] })
  const next = await flagbearer.verify((await server.refresh(application, tokens)).access_token)
  assert.equal(next.getBooleanFlag('new_ai_model', false), true)
  assert.deepEqual(next.changedFrom(flags), ['new_ai_model'])
})
