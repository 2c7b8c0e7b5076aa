"""Starts a Flagbearer server with three flags and one user, the service beside it, and says what to try."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SERVER = Path(os.environ.get("FLAGBEARER_BINARY", HERE / "../../target/debug/flagbearer"))
# The tests search what the server logs for this key, by the word it begins with.
ADMIN_KEY = f"planted-{secrets.token_hex(32)}"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def call(method: str, url: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)) as answer:
        return json.load(answer)


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{url} did not come up")


def prepare(issuer: str) -> tuple[str, Any]:
    """Flags, an application, and a user who is signed in to it."""
    for key, type, value in [("new_ai_model", "boolean", False), ("ai_token_limit", "integer", 1000), ("prompt_variant", "string", "control")]:
        call("POST", f"{issuer}/v1/flags", {"key": key, "type": type, "default_value": value})
    application = {"name": "assistant", "environment": "production", "public": True}
    client_id = call("POST", f"{issuer}/v1/applications", application)["client_id"]
    session = {"application": client_id, "user": "alice", "organization": "acme"}
    return client_id, call("POST", f"{issuer}/v1/sessions", session)


def main(folder: str) -> None:
    address, port = f"127.0.0.1:{free_port()}", free_port()
    issuer, service = f"http://{address}", f"http://127.0.0.1:{port}"
    log = (Path(os.environ.get("FLAGBEARER_TEST_LOGS", folder)) / "fastapi-server.log").open("wb")
    server = subprocess.Popen(
        [SERVER.resolve(), "serve", "--listen", address], cwd=folder, env={**os.environ, "FLAGBEARER_ADMIN_KEY": ADMIN_KEY},
        stdout=log, stderr=log,
    )  # fmt: skip
    running = [server]
    try:
        wait_for(f"{issuer}/.well-known/jwks.json", server)
        client_id, tokens = prepare(issuer)
        environment = {**os.environ, "FLAGBEARER_ISSUER": issuer, "FLAGBEARER_AUDIENCE": client_id}
        uvicorn = [sys.executable, "-m", "uvicorn", "main:app", "--port", str(port), "--log-level", "warning"]
        running.append(subprocess.Popen(uvicorn, cwd=HERE, env=environment))
        wait_for(f"{service}/openapi.json", running[-1])
        print(f"""
The service runs at {service}, the Flagbearer server at {issuer}.
Ask as alice of acme:

  curl -H 'Authorization: Bearer {tokens["access_token"]}' {service}/assistant

Give acme the new model, refresh alice's token, and ask again with the access_token that it answers:

  curl -X PUT -H 'Authorization: Bearer {ADMIN_KEY}' -H 'Content-Type: application/json' -d '{{"audience":"some","organizations":["acme"]}}' {issuer}/v1/flags/new_ai_model/environments/production/targeting
  curl -d grant_type=refresh_token -d client_id={client_id} -d refresh_token={tokens["refresh_token"]} {issuer}/oauth2/token

Control-C ends both.""", flush=True)  # fmt: skip
        running[-1].wait()
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()
        log.close()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Control-C does
    with tempfile.TemporaryDirectory() as folder:
        try:
            main(folder)
        except KeyboardInterrupt:
            pass
