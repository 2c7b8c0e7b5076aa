'use client'

import { useAuth } from '@workos-inc/authkit-nextjs/components'

export function InTheBrowser() {
  const { featureFlags, loading, refreshAuth } = useAuth()
  return (
    <>
      <p id="browser-flags">{loading ? 'loading' : JSON.stringify(featureFlags)}</p>
      <button id="browser-refresh" onClick={() => refreshAuth()}>
        Refresh in the browser
      </button>
    </>
  )
}
