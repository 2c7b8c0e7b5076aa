// A real Flagbearer server with an account on it, and applications that sign in by its page.

import { startFlagbearer } from '../../../examples/hono/flagbearer.js'

export const REDIRECT_URI = 'http://localhost:3000/callback'
export const LOGOUT_URI = 'http://localhost:3000/goodbye'
export const ALICE = { email: 'alice@example.com', password: 'planted horse battery staple' }

/** Of every type: what everybody has, and what Alice's organization can get instead. */
export const FLAGS = {
  new_ai_model: { type: 'boolean', before: false, after: true },
  prompt_variant: { type: 'string', before: 'control', after: 'few_shot' },
  ai_token_limit: { type: 'integer', before: 1000, after: 5000 },
  model_config: { type: 'json', before: { max_tokens: 500, temperature: 0.7 }, after: { max_tokens: 900, temperature: 0 } },
}

export async function install() {
  const { url, call, stop } = await startFlagbearer()
  try {
    for (const [key, { type, before }] of Object.entries(FLAGS)) await call('POST', '/flags', { key, type, default_value: before })
    await call('POST', '/organizations', { id: 'org_xyz789', name: 'Pilot customer' })
    await call('POST', '/users', { id: 'alice', name: 'Alice Adams', ...ALICE })
    await call('PUT', '/organizations/org_xyz789/members/alice', {})
  } catch (error) {
    // Else it would keep the test program from ending.
    await stop()
    throw error
  }
  return {
    issuer: url,
    call,
    stop,
    /** Creates an application; answers its id and, once, its secret. */
    async application(more) {
      const uris = { redirect_uris: [REDIRECT_URI], logout_uris: [LOGOUT_URI] }
      const document = { name: 'Scribe', environment: 'production', ...uris, ...more }
      const { client_id, client_secret } = await call('POST', '/applications', document)
      return { id: client_id, secret: client_secret }
    },
  }
}
