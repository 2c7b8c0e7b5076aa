// A JSON flag holds what has to change together: model, temperature, limit and prompt.

import { getFlagbearerSession } from '@flagbearer/node/nextjs'
import { type NextRequest, NextResponse } from 'next/server'
import { callAI } from '../provider'

interface AIModelConfig {
  model: string
  temperature: number
  max_tokens: number
  system_prompt: string
}

const DEFAULT_CONFIG: AIModelConfig = {
  model: 'gpt-4o',
  temperature: 0.7,
  max_tokens: 500,
  system_prompt: 'You are a helpful AI assistant.',
}

export async function POST(request: NextRequest) {
  const { isAuthenticated, getFlag } = getFlagbearerSession()
  if (!(await isAuthenticated())) return NextResponse.json({ error: 'Unauthenticated' }, { status: 401 })

  const { value: config } = await getFlag('ai_model_config', DEFAULT_CONFIG, 'j')
  const { message } = await request.json()
  return NextResponse.json(
    await callAI({ prompt: `${config.system_prompt} ${message}`, maxTokens: config.max_tokens, variant: config.model }),
  )
}
