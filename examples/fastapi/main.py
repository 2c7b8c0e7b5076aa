"""A service whose answers depend on flags, which come with the request: they are in the caller's access token."""

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI

from flagbearer import Flagbearer, FlagSet
from flagbearer.fastapi import Flags

reader = Flagbearer(issuer=os.environ["FLAGBEARER_ISSUER"], audience=os.environ["FLAGBEARER_AUDIENCE"])
CallersFlags = Annotated[FlagSet, Depends(Flags(reader))]

app = FastAPI(title="Flagbearer with FastAPI")


@app.get("/assistant")
async def assistant(flags: CallersFlags) -> dict[str, Any]:
    """What this caller's assistant is made of. The second argument is what holds without the flag."""
    return {
        "model": "large" if flags.get_boolean_flag("new_ai_model", False) else "small",
        "max_tokens": flags.get_integer_flag("ai_token_limit", 1000),
        "prompt": flags.get_string_flag("prompt_variant", "control"),
    }


@app.get("/flags")
async def everything(flags: CallersFlags) -> dict[str, Any]:
    """All that the token says."""
    return {"revision": flags.flags_revision, "organization": flags.organization, "flags": flags.get_all_flags()}
