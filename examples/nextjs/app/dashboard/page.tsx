// A page that is another one for each user, by the flags in the token: no call to anybody, and safe to deploy before the flags
// exist, since every read has a default.

import { getFlagbearerSession } from '@flagbearer/node/nextjs'
import { redirect } from 'next/navigation'
import { InTheBrowser } from './in-the-browser'

interface ModelConfig {
  temperature: number
  max_tokens: number
}

const DEFAULT_CONFIG: ModelConfig = { temperature: 1, max_tokens: 100 }

export default async function DashboardPage() {
  const { isAuthenticated, getUser, getBooleanFlag, getIntegerFlag, getStringFlag, getFlag, getKeptReason } = getFlagbearerSession()
  if (!(await isAuthenticated())) redirect('/api/auth/sign-in?return_to=/dashboard')

  const user = await getUser()
  const showNewAIModel = await getBooleanFlag('new_ai_model', false)
  const aiTokenLimit = await getIntegerFlag('ai_token_limit', 1000)
  const promptVariant = await getStringFlag('prompt_variant', 'control')
  const { value: config } = await getFlag('model_config', DEFAULT_CONFIG, 'json')
  const kept = await getKeptReason()

  return (
    <main>
      <h1>Dashboard</h1>
      <p>Signed in as {user?.email}.</p>
      {kept && <p role="status">The flags may be old: {kept}</p>}
      {showNewAIModel && (
        <section>
          <h2>New AI model (beta)</h2>
          <p>
            Token limit: {aiTokenLimit} | Variant: {promptVariant} | Temperature: {config.temperature}
          </p>
        </section>
      )}
      <section>
        <h2>Standard features</h2>
        <p>Token limit: {aiTokenLimit}</p>
      </section>
      <InTheBrowser />
      <form method="post" action="/api/auth/sign-out">
        <button>Sign out</button>
      </form>
    </main>
  )
}
