// `npm start`: the backend against a real Flagbearer server. Without settings it starts one of its own to play with.

import { serve } from '@hono/node-server'
import { createApp } from './app.js'
import { startFlagbearer } from './flagbearer.js'

const { FLAGBEARER_ISSUER, FLAGBEARER_AUDIENCE, PORT = '3000' } = process.env

let settings = { issuer: FLAGBEARER_ISSUER, audience: FLAGBEARER_AUDIENCE }
let flagbearer
let hint = () => ''

if (!FLAGBEARER_ISSUER) {
  flagbearer = await startFlagbearer()
  await flagbearer.call('POST', '/flags', { key: 'snippet-synthesis', type: 'boolean', default_value: false })
  settings = await flagbearer.application('production')
  await flagbearer.target('snippet-synthesis', 'production', { audience: 'some', organizations: ['org_ours'] })
  const ours = await flagbearer.startSession(settings, 'user_ours', 'org_ours')
  const other = await flagbearer.startSession(settings, 'user_other', 'org_other')
  hint = (url) => `
\`snippet-synthesis\` is on for org_ours alone. Two access tokens, good for five minutes:

  OURS=${ours.access_token}
  OTHER=${other.access_token}

Try:

  curl -H "authorization: Bearer $OURS" ${url}/api/snippets
  curl -H "authorization: Bearer $OTHER" ${url}/api/snippets
  curl -H "authorization: Bearer $OTHER" ${url}/api/me
`
}

const server = serve({ fetch: createApp(settings).fetch, hostname: '127.0.0.1', port: Number(PORT) }, ({ port }) => {
  const url = `http://127.0.0.1:${port}`
  console.log(`The backend listens on ${url}, and accepts tokens of ${settings.issuer}`)
  console.log(hint(url))
})

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    server.close()
    await flagbearer?.stop()
    process.exit(0)
  })
}
