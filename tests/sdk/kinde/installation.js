// A real Flagbearer server with what a business that comes from Kinde has on it: the article's flags, a user who signs in
// with a password, an organization, and applications of profile `kinde`.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { startFlagbearer } from '../../../examples/hono/flagbearer.js'
import { standBesideOurs } from '../keys.js'
import { Browser } from '../sign_in.js'

export const REDIRECT_URL = 'http://localhost:3000/api/auth/kinde_callback'
export const LOGOUT_URL = 'http://localhost:3000/goodbye'
export const ALICE = { email: 'alice@example.com', password: 'planted horse battery staple' }
export const ALICE_ID = 'kp_abc123'
export const ORGANIZATION = 'org_xyz789'

/** Key, type, default: the article's, and one of each type that a careless reader would take for missing. */
const FLAGS = [
  ['new_ai_model', 'boolean', false],
  ['ai_token_limit', 'integer', 1000],
  ['prompt_variant', 'string', 'control'],
  ['model_config', 'json', { temperature: 0.7, max_tokens: 500 }],
  ['ai_prompt_strategy', 'string', 'standard'],
  [
    'ai_model_config',
    'json',
    { model: 'gpt-4o', temperature: 0.7, max_tokens: 500, system_prompt: 'You are a helpful AI assistant.' },
  ],
  ['zero', 'integer', 0],
  ['empty', 'string', ''],
  ['nothing', 'json', {}],
]

export async function install() {
  const flagbearer = await startFlagbearer()
  try {
    return await fill(flagbearer)
  } catch (error) {
    // Else it would keep the test program from ending.
    await flagbearer.stop()
    throw error
  }
}

/** Takes a database for itself alone, and prints a line once it has it; lets go when its input ends. */
const HOLD = `
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()`

async function fill({ url, call, stop, folder }) {
  await standBesideOurs(`${url}/.well-known/jwks.json`)
  // Kinde's packages look some flags up by what is called `name`; here that is for people alone.
  for (const [key, type, default_value] of FLAGS) {
    await call('POST', '/flags', { key, type, default_value, name: `The flag ${key}` })
  }
  await call('POST', '/organizations', { id: ORGANIZATION, name: 'Pilot customer' })
  await call('POST', '/users', { id: ALICE_ID, name: 'Alice Adams', ...ALICE })
  await call('PUT', `/organizations/${ORGANIZATION}/members/${ALICE_ID}`, { roles: ['admin'], permissions: ['reports:view'] })

  return {
    issuer: url,
    call,
    stop,

    /** Creates an application as it is set up for Kinde's SDKs; answers its id and, once, its secret. */
    async application(more) {
      const created = await call('POST', '/applications', {
        name: 'Kinde application',
        environment: 'production',
        profile: 'kinde',
        redirect_uris: [REDIRECT_URL],
        logout_uris: [LOGOUT_URL],
        claims: ['email'],
        ...more,
      })
      return { clientId: created.client_id, clientSecret: created.client_secret }
    },

    /** Sets a flag's value for Alice's organization. */
    override: (flag, value) => call('PUT', `/flags/${flag}/organizations/${ORGANIZATION}?environment=production`, { value }),

    /** Does some work while nobody can write to the server's database. */
    async whileBusy(work) {
      const holder = spawn('python3', ['-c', HOLD, join(folder, 'flagbearer.db')], { stdio: ['pipe', 'pipe', 'inherit'] })
      const ended = once(holder, 'exit')
      try {
        await once(holder.stdout, 'data')
        return await work()
      } finally {
        holder.stdin.end()
        await ended
      }
    },

    endSessions: () => call('DELETE', `/sessions?user=${ALICE_ID}&environment=production`),
  }
}

/** Signs Alice in, and answers where the application is called back. */
export const signIn = async (authorizationUrl, answers = ALICE, browser = new Browser()) =>
  new URL(await browser.signIn(authorizationUrl, answers))
