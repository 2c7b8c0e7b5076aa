// app/api/ai/limited/route.ts
import { getKindeServerSession } from "@kinde-oss/kinde-auth-nextjs/server";
import { NextRequest, NextResponse } from "next/server";
// In the place of OpenAI's client: what it is called with is what is answered.
const openai = { chat: { completions: { create: async (call: object) => call } } };
export async function POST(request: NextRequest) {
const { isAuthenticated, getIntegerFlag } = getKindeServerSession();
if (!(await isAuthenticated())) {
return NextResponse.json({ error: "Unauthenticated" }, { status: 401 });
}
const body = await request.json();
const prompt = body.message;
// In your AI route handler — enforce the token limit before calling the AI
const maxTokens = await getIntegerFlag("ai_token_limit", 1000);
// Validate the requested tokens against the user's limit
const requestedTokens = body.max_tokens ?? 500;
const enforcedTokens = Math.min(requestedTokens, maxTokens);
if (requestedTokens > maxTokens) {
console.log(
`User requested ${requestedTokens} tokens, capped to ${maxTokens}`
);
}
// Use enforcedTokens in your AI call
const response = await openai.chat.completions.create({
model: "gpt-4o",
messages: [{ role: "user", content: prompt }],
max_tokens: enforcedTokens,
});
return NextResponse.json({ response });
}
