// app/api/ai/chat/route.ts
import { getKindeServerSession } from "@kinde-oss/kinde-auth-nextjs/server";
import { NextRequest, NextResponse } from "next/server";
// Prompt templates for each variant
const PROMPT_STRATEGIES = {
standard: (userMessage: string) =>
`You are a helpful assistant. User: ${userMessage}`,
chain_of_thought: (userMessage: string) =>
`You are a helpful assistant. Think step-by-step before answering.
User: ${userMessage}
Let me work through this carefully:`,
few_shot: (userMessage: string) =>
`You are a helpful assistant. Here are examples of good responses:
Q: What is 2+2? A: 4. Q: What is the capital of France? A: Paris.
Now answer: ${userMessage}`,
} as const;
type PromptStrategy = keyof typeof PROMPT_STRATEGIES;
export async function POST(request: NextRequest) {
const { isAuthenticated, getStringFlag, getIntegerFlag } =
getKindeServerSession();
if (!(await isAuthenticated())) {
return NextResponse.json({ error: "Unauthenticated" }, { status: 401 });
}
// Read the prompt strategy flag for this user
const strategy = (await getStringFlag(
"ai_prompt_strategy",
"standard"
)) as PromptStrategy;
// Read the token limit flag for this user
const maxTokens = await getIntegerFlag("ai_token_limit", 1000);
const { message } = await request.json();
// Build the prompt based on the user's assigned variant
const promptBuilder = PROMPT_STRATEGIES[strategy] ?? PROMPT_STRATEGIES.standard;
const prompt = promptBuilder(message);
// Call your AI provider with the variant prompt and limit
const aiResponse = await callAIProvider({
prompt,
maxTokens,
// Log which variant was used for analytics
metadata: { strategy, userId: "from_session" },
});
return NextResponse.json({
response: aiResponse,
// Optionally surface the variant in the response for debugging
_variant: process.env.NODE_ENV === "development" ? strategy : undefined,
});
}
async function callAIProvider({
prompt,
maxTokens,
metadata,
}: {
prompt: string;
maxTokens: number;
metadata: Record<string, string>;
}) {
// Replace with your actual AI provider call
console.log("Calling AI with strategy:", metadata.strategy);
return "AI response placeholder";
}
