// What the example needs on its server: flags of every type, a user with a password, and the application itself.

export const ALICE = { email: 'alice@example.com', password: 'correct horse battery staple' }
export const ALICE_ID = 'kp_abc123'
export const ORGANIZATION = 'org_xyz789'

const FLAGS = [
  ['new_ai_model', 'boolean', false],
  ['ai_token_limit', 'integer', 1000],
  ['prompt_variant', 'string', 'control'],
  ['model_config', 'json', { temperature: 0.7, max_tokens: 500 }],
  ['ai_prompt_strategy', 'string', 'standard'],
  ['ai_model_config', 'json', { model: 'gpt-4o', temperature: 0.7, max_tokens: 500, system_prompt: 'You are a helpful AI assistant.' }],
]

/** Creates all of it; answers the variables by which the application knows who it is. */
export async function fill(flagbearer, site) {
  for (const [key, type, default_value] of FLAGS) await flagbearer.call('POST', '/flags', { key, type, default_value })
  await flagbearer.call('POST', '/organizations', { id: ORGANIZATION, name: 'Pilot customer' })
  await flagbearer.call('POST', '/users', { id: ALICE_ID, name: 'Alice Adams', ...ALICE })
  await flagbearer.call('PUT', `/organizations/${ORGANIZATION}/members/${ALICE_ID}`, { permissions: ['reports:view'] })
  const application = await flagbearer.call('POST', '/applications', {
    name: 'Next.js example',
    environment: 'production',
    redirect_uris: [`${site}/api/auth/callback`],
    logout_uris: [site],
  })
  return { FLAGBEARER_CLIENT_ID: application.client_id, FLAGBEARER_CLIENT_SECRET: application.client_secret }
}
