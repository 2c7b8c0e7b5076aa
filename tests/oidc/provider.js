// A real OpenID provider, to sign in with: node provider.js <redirect URI> <client_secret_basic | client_secret_post> [port].
// It accepts every name with every password, makes new keys each time it starts, and prints one line when it listens:
//
//   {"issuer": "http://127.0.0.1:…", "client_id": "…", "client_secret": "…"}

import { createServer } from 'node:http'
import { generateKeyPairSync } from 'node:crypto'
import Provider from 'oidc-provider'

const [redirectUri, authentication, port = '0'] = process.argv.slice(2)
const client = { client_id: 'flagbearer', client_secret: 'planted-client:secret&of?upstream%20' }

/** A private key, as a JWK; the provider names it by its thumbprint. */
function key(type, options) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig' }
}

const server = createServer()
server.listen(Number(port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    clients: [
      {
        ...client,
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code'],
        response_types: ['code'],
        token_endpoint_auth_method: authentication,
      },
    ],
    clientAuthMethods: [authentication],
    jwks: { keys: [key('rsa', { modulusLength: 2048 }), key('ec', { namedCurve: 'P-256' })] },
    cookies: { keys: ['planted-cookie-key'] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    // What we read is in the ID token, as with most providers.
    conformIdTokenClaims: false,
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        name: `${id} of upstream`,
        email: `${id}@example.com`,
        email_verified: !id.startsWith('unverified'),
      }),
    }),
    ttl: { AccessToken: 300, AuthorizationCode: 60, Grant: 300, IdToken: 300, Interaction: 300, Session: 300 },
  })
  server.on('request', provider.callback())
  console.log(JSON.stringify({ issuer, ...client }))
})
