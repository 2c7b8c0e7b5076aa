// A real OpenID provider, to sign in with: node provider.js <redirect URI> <client_secret_basic | client_secret_post> [port].
// It accepts every name with every password, makes new keys each time it starts, and prints one line when it listens:
//
//   {"issuer": "http://127.0.0.1:…", "client_id": "…", "client_secret": "…"}
//
// A line that it is told is the name of a fault (`FAULTS`) that it has from then on, and is printed again once it has it.

import { createServer } from 'node:http'
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { createInterface } from 'node:readline'
import Provider from 'oidc-provider'

const [redirectUri, authentication, port = '0'] = process.argv.slice(2)
const client = { client_id: 'flagbearer', client_secret: 'planted-client:secret&of?upstream%20' }

/** A private key, as a JWK; the provider names it by its thumbprint. */
function key(type, options) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig' }
}

const keys = [key('rsa', { modulusLength: 2048 }), key('ec', { namedCurve: 'P-256' })]

const decoded = (part) => JSON.parse(Buffer.from(part, 'base64url'))
const encoded = (document) => Buffer.from(JSON.stringify(document)).toString('base64url')

/** An ID token with other claims, under the signature that it has. */
function forged(token, more) {
  const [header, claims, signature] = token.split('.')
  return [header, encoded({ ...decoded(claims), ...more }), signature].join('.')
}

/** The same, signed by the provider itself, with the key that it signs with. */
function signed(token, more) {
  const [input] = /^.*(?=\.)/.exec(forged(token, more))
  return `${input}.${sign('sha256', Buffer.from(input), createPrivateKey({ key: keys[0], format: 'jwk' })).toString('base64url')}`
}

const unsigned = (token) => `${encoded({ alg: 'none' })}.${token.split('.')[1]}.`

/** No answer, for as long as the client waits. */
const silent = (context) => void (context.respond = false)

/** A good beginning of an answer, and then the connection is gone. */
function brokenOff(context) {
  context.respond = false
  context.res.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
  context.res.write('{"access_token":"x","id_token":"', () => context.res.socket.destroy())
}

function aPage(context) {
  context.status = 500
  context.type = 'text/html'
  context.body = '<!doctype html><p>We will be back soon'
}

const idToken = (change) => (context) => void (context.body.id_token = change(context.body.id_token))

let earlier

/** By the route that they are faults of, what they do to the real answer. */
const FAULTS = {
  'no metadata': ['discovery', silent],
  'metadata of another issuer': ['discovery', (context) => void (context.body.issuer = 'https://login.example.com')],
  'a page for keys': ['jwks', aPage],
  'no keys': ['jwks', silent],
  'no tokens': ['token', silent],
  'a page for tokens': ['token', aPage],
  'half of the tokens': ['token', brokenOff],
  'tokens from elsewhere': ['token', (context) => context.redirect('http://169.254.169.254/token')],
  'a token without a signature': ['token', idToken(unsigned)],
  'the signature of other claims': ['token', idToken((token) => forged(token, { sub: 'ada' }))],
  'the token of an earlier sign-in': ['token', idToken(() => earlier)],
  'a token for another client': ['token', idToken((token) => signed(token, { aud: 'another' }))],
  'a token of another issuer': ['token', idToken((token) => signed(token, { iss: 'https://login.example.com' }))],
  'an expired token': ['token', idToken((token) => signed(token, { exp: 1 }))],
  // No fault: so that those above are refused for what they say, and not for how they were made.
  'a token signed anew': ['token', idToken((token) => signed(token, {}))],
}

let fault = []

/** Around the whole provider: what it answers is the real thing until here. */
async function misbehave(context, next) {
  await next()
  const [route, work] = fault
  if (work && context.oidc?.route === route) work(context)
  else if (context.oidc?.route === 'token') earlier ??= context.body.id_token
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
    jwks: { keys },
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
  provider.use(misbehave)
  server.on('request', provider.callback())
  console.log(JSON.stringify({ issuer, ...client }))
})

createInterface({ input: process.stdin }).on('line', (name) => {
  if (name !== 'none' && !(name in FAULTS)) throw new Error(`\`${name}\` is no fault`)
  fault = FAULTS[name] ?? []
  console.log(name)
})
