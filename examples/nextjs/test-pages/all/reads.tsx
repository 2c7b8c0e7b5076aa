'use client'

import { useFlagbearer } from '@flagbearer/node/nextjs/client'

export function Reads({ keys }: { keys: string[] }) {
  const { isAuthenticated, organization, getFlag, getStringFlag } = useFlagbearer()
  const seen = {
    isAuthenticated,
    organization,
    flags: Object.fromEntries(keys.map((key) => [key, getFlag<unknown>(key, null).value])),
    missing: getStringFlag('missing', 'the default'),
  }
  return <pre id="all">{JSON.stringify(seen)}</pre>
}
