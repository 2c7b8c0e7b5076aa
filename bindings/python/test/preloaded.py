"""What gunicorn serves in `test_gunicorn.py`: a reader that was made, and has verified, before the workers were forked."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from flagbearer import Flagbearer, FlagbearerError

reader = Flagbearer(issuer=os.environ["ISSUER"], audience="api")
reader.verify(os.environ["TOKEN"])


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    try:
        answer = str(reader.verify(environ["HTTP_AUTHORIZATION"].removeprefix("Bearer ")).get_boolean_flag("new_ai_model", False))
    except FlagbearerError as error:
        answer = error.code
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {answer}".encode()]
