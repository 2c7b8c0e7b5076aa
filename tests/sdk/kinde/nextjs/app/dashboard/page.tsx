// app/dashboard/page.tsx
import { getKindeServerSession } from "@kinde-oss/kinde-auth-nextjs/server";
import { redirect } from "next/navigation";
export default async function DashboardPage() {
const {
isAuthenticated,
getUser,
getBooleanFlag,
getIntegerFlag,
getStringFlag,
} = getKindeServerSession();
if (!(await isAuthenticated())) {
redirect("/api/auth/login");
}
const user = await getUser();
// Read each flag with a default value as fallback
// The default value is used if the flag doesn't exist in the token
const showNewAIModel = await getBooleanFlag("new_ai_model", false);
const aiTokenLimit = await getIntegerFlag("ai_token_limit", 1000);
const promptVariant = await getStringFlag("prompt_variant", "control");
return (
<main className="p-8">
<h1>Dashboard</h1>
{/* Only render the new AI section if the flag is on */}
{showNewAIModel && (
<section className="mt-6 rounded-lg bg-purple-50 p-6">
<h2 className="font-semibold text-purple-900">
✨ New AI Model (Beta)
</h2>
<p className="text-sm text-purple-700 mt-1">
You have early access to our upgraded AI model.
</p>
<AIModelInterface
tokenLimit={aiTokenLimit}
promptVariant={promptVariant}
/>
</section>
)}
{/* Standard content visible to all users */}
<section className="mt-6">
<h2 className="font-semibold">Standard Features</h2>
<StandardInterface tokenLimit={aiTokenLimit} />
</section>
</main>
);
}
// Placeholder components
function AIModelInterface({
tokenLimit,
promptVariant,
}: {
tokenLimit: number;
promptVariant: string;
}) {
return (
<div className="mt-4">
<p className="text-xs text-purple-500">
Token limit: {tokenLimit} | Variant: {promptVariant}
</p>
</div>
);
}
function StandardInterface({ tokenLimit }: { tokenLimit: number }) {
return <p className="text-sm text-gray-500">Token limit: {tokenLimit}</p>;
}
