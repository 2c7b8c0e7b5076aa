// Stands where your AI provider's client would: it answers what it was asked for, so that the flags' effect can be seen.

export interface Call {
  prompt: string
  maxTokens: number
  variant: string
}

export async function callAI(call: Call) {
  return { response: `an answer of at most ${call.maxTokens} tokens`, ...call }
}
