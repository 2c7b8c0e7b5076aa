// A string flag picks the prompt, an integer flag bounds what it may cost.

import { getFlagbearerSession } from '@flagbearer/node/nextjs'
import { type NextRequest, NextResponse } from 'next/server'
import { callAI } from '../provider'

const PROMPTS = {
  standard: (message: string) => `You are a helpful assistant. User: ${message}`,
  chain_of_thought: (message: string) => `You are a helpful assistant. Think step by step. User: ${message}`,
  few_shot: (message: string) => `You are a helpful assistant. Q: What is 2+2? A: 4. User: ${message}`,
}

const isStrategy = (name: string): name is keyof typeof PROMPTS => Object.hasOwn(PROMPTS, name)

export async function POST(request: NextRequest) {
  const { isAuthenticated, getStringFlag, getIntegerFlag } = getFlagbearerSession()
  if (!(await isAuthenticated())) return NextResponse.json({ error: 'Unauthenticated' }, { status: 401 })

  const { message, max_tokens = 500 } = await request.json()
  const strategy = await getStringFlag('ai_prompt_strategy', 'standard')
  const limit = await getIntegerFlag('ai_token_limit', 1000)
  return NextResponse.json(
    await callAI({
      prompt: PROMPTS[isStrategy(strategy) ? strategy : 'standard'](message),
      maxTokens: Math.min(max_tokens, limit),
      variant: strategy,
    }),
  )
}
