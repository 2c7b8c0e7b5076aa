// app/api/ai/generate/route.ts
import { getKindeServerSession } from "@kinde-oss/kinde-auth-nextjs/server";
import { NextRequest, NextResponse } from "next/server";
interface AIModelConfig {
model: string;
temperature: number;
max_tokens: number;
system_prompt: string;
}
const DEFAULT_CONFIG: AIModelConfig = {
model: "gpt-4o",
temperature: 0.7,
max_tokens: 500,
system_prompt: "You are a helpful AI assistant.",
};
export async function POST(request: NextRequest) {
const { isAuthenticated, getFlag } = getKindeServerSession();
if (!(await isAuthenticated())) {
return NextResponse.json({ error: "Unauthenticated" }, { status: 401 });
}
// Read the JSON flag — use getFlag with type "j" for JSON
const configFlag = await getFlag(
"ai_model_config",
DEFAULT_CONFIG,
"j" // "j" = JSON type
);
// configFlag.value contains the parsed JSON object
const config = (configFlag?.value as AIModelConfig) ?? DEFAULT_CONFIG;
const { message } = await request.json();
// Use the full config from the flag — one atomic update in Kinde
// changes model, temperature, max_tokens, and system_prompt together
const response = await callAI({
model: config.model,
temperature: config.temperature,
maxTokens: config.max_tokens,
systemPrompt: config.system_prompt,
userMessage: message,
});
return NextResponse.json({ response });
}
async function callAI({
model,
temperature,
maxTokens,
systemPrompt,
userMessage,
}: {
model: string;
temperature: number;
maxTokens: number;
systemPrompt: string;
userMessage: string;
}) {
// Your AI provider call using the flag-configured values
console.log(`Using model: ${model}, temp: ${temperature}, max_tokens: ${maxTokens}`);
return "AI response placeholder";
}
