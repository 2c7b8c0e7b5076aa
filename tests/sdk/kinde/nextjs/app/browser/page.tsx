'use client'

import { useKindeBrowserClient } from '@kinde-oss/kinde-auth-nextjs'

/** What a call answers, or throws. */
function outcome(call: () => unknown) {
  try {
    return call()
  } catch (error) {
    return { thrown: (error as Error).message }
  }
}

export default function BrowserPage() {
  const kinde = useKindeBrowserClient()
  if (kinde.isLoading) return <p>Loading</p>
  const seen = {
    isAuthenticated: kinde.isAuthenticated,
    user: kinde.user?.email,
    organization: kinde.organization?.orgCode,
    permission: kinde.getPermission('reports:view')?.isGranted,
    boolean: outcome(() => kinde.getBooleanFlag('new_ai_model', false)),
    integer: outcome(() => kinde.getIntegerFlag('ai_token_limit', 1)),
    string: outcome(() => kinde.getStringFlag('prompt_variant', 'x')),
    zero: outcome(() => kinde.getIntegerFlag('zero', 1)),
    empty: outcome(() => kinde.getStringFlag('empty', 'x')),
    json: outcome(() => kinde.getFlag('model_config', {}, 'j')),
    absent: outcome(() => kinde.getBooleanFlag('absent', true)),
    missing: outcome(() => kinde.getFlag('absent')),
    mistyped: outcome(() => kinde.getFlag('new_ai_model', 'x', 's')),
  }
  return <pre id="seen">{JSON.stringify(seen)}</pre>
}
