'use client'

// The same flags in the browser, and what a button does that wants to have them anew.

import { useFlagbearer, type RefreshOutcome } from '@flagbearer/node/nextjs/client'
import { useState } from 'react'

export function InTheBrowser() {
  const { user, getBooleanFlag, getIntegerFlag, getStringFlag, getFlag, refresh } = useFlagbearer()
  const [outcome, setOutcome] = useState<RefreshOutcome>()
  const seen = {
    user: user?.email,
    boolean: getBooleanFlag('new_ai_model', false),
    integer: getIntegerFlag('ai_token_limit', 1),
    string: getStringFlag('prompt_variant', 'none'),
    json: getFlag<{ temperature: number }>('model_config', { temperature: 1 }, 'j').value.temperature,
    kept: getStringFlag('ai_prompt_strategy', 'stays on the server'),
  }
  return (
    <section>
      <h2>In the browser</h2>
      <pre id="seen">{JSON.stringify(seen, null, 2)}</pre>
      <button type="button" onClick={async () => setOutcome(await refresh())}>
        Refresh
      </button>
      <output>{outcome && (outcome.refreshed ? (outcome.changed ? 'Flags have changed' : 'Nothing has changed') : outcome.code)}</output>
    </section>
  )
}
