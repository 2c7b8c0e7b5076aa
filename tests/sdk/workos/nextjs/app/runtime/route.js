import { getFeatureFlagsRuntimeClient } from '@workos-inc/authkit-nextjs'

export const dynamic = 'force-dynamic'

/** What the runtime client says of a flag for somebody, without a token. */
export async function GET(request) {
  const { flag, ...context } = Object.fromEntries(new URL(request.url).searchParams)
  const client = getFeatureFlagsRuntimeClient()
  await client.waitUntilReady({ timeoutMs: 10_000 })
  return Response.json(client.isEnabled(flag, context))
}
