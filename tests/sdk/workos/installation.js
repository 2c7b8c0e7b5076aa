// A real Flagbearer server with what a business that comes from WorkOS has on it: users with passwords, organizations,
// applications of profile `workos`, and an API key of the environment.

import { startFlagbearer } from '../../../examples/hono/flagbearer.js'
import { standBesideOurs } from '../keys.js'
import { Browser } from '../sign_in.js'

export const FLAG = 'snippet-synthesis'
export const REDIRECT_URI = 'http://localhost:3000/callback'
export const COOKIE_PASSWORD = 'a cookie password of more than 32 characters'
export const PASSWORD = 'planted horse battery staple'

export async function install() {
  const { url, call, stop } = await startFlagbearer()
  const { hostname, port } = new URL(url)

  const installation = {
    url,
    call,
    stop,

    /** A boolean flag that is off for everybody, unless said otherwise. */
    flag: (key, more) => call('POST', '/flags', { key, type: 'boolean', default_value: false, ...more }),

    /** Creates a user who signs in with a password, as a member of organizations. */
    async user(id, organizations = []) {
      const email = `${id}@example.com`
      await call('POST', '/users', { id, email, name: 'Ada King Lovelace', password: PASSWORD })
      for (const organization of organizations) {
        await call('POST', '/organizations', { id: organization, name: organization }).catch((error) => {
          if (!/ORGANIZATION_EXISTS/.test(error)) throw error
        })
        await call('PUT', `/organizations/${organization}/members/${id}`, { roles: ['admin'], permissions: ['reports:view'] })
      }
      return { id, email }
    },

    /** An application and an API key of an environment. */
    async application(environment = 'production', more = {}) {
      const document = { name: 'From WorkOS', environment, profile: 'workos', redirect_uris: [REDIRECT_URI], ...more }
      const { client_id: clientId } = await call('POST', '/applications', document)
      await standBesideOurs(`${url}/sso/jwks/${clientId}`)
      const { key: apiKey } = await call('POST', '/api-keys', { name: 'WorkOS', role: 'administrator', environment })
      return { clientId, apiKey }
    },

    /** Who gets a flag: `{ audience: 'some', organizations: […] }`, `{ audience: 'all' }`. */
    target: (flag, who, environment = 'production') => call('PUT', `/flags/${flag}/environments/${environment}/targeting`, who),

    /** What the issuer serves. */
    async served(flag, { userId = '', organizationId = '' }) {
      const query = new URLSearchParams({ environment: 'production' })
      if (userId) query.set('user', userId)
      if (organizationId) query.set('organization', organizationId)
      return (await call('GET', `/evaluate?${query}`)).flags[flag].value
    },
  }

  /** The settings by which an SDK for Node finds this server instead of WorkOS. */
  installation.place = { apiHostname: hostname, port: Number(port), https: false }
  return installation
}

/** Signs a user in at the page, and answers the code that the application is called back with. */
export async function signedInCode(authorizationUrl, { email }, answers = {}, browser = new Browser()) {
  const back = new URL(await browser.signIn(authorizationUrl, { email, password: PASSWORD, ...answers }))
  const code = back.searchParams.get('code')
  if (!code) throw new Error(`no code in ${back}`)
  return { code, state: back.searchParams.get('state') }
}
