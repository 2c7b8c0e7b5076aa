// Says which flags a bearer token carries, in the Edge runtime: no native code is loaded there, so that the reader is the same core as
// WebAssembly.

import { Flagbearer, FlagbearerError } from '@flagbearer/node/edge'

export const runtime = 'edge'

let reader: Flagbearer | undefined

/** Made at the first request, since the variables are not there when the application is built. */
function flagbearer() {
  const { FLAGBEARER_ISSUER: issuer = '', FLAGBEARER_AUDIENCE, FLAGBEARER_CLIENT_ID = '' } = process.env
  return (reader ??= new Flagbearer({ issuer, audience: FLAGBEARER_AUDIENCE ?? FLAGBEARER_CLIENT_ID }))
}

export async function GET(request: Request) {
  const [, token] = /^Bearer (\S+)$/.exec(request.headers.get('authorization') ?? '') ?? []
  try {
    const flags = await flagbearer().verify(token)
    return Response.json({ flags: flags.getAllFlags() })
  } catch (error) {
    if (!(error instanceof FlagbearerError)) throw error
    return Response.json({ code: error.code, message: error.message }, { status: 401 })
  }
}
