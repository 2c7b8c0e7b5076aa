"""A real Flagbearer server: the binary that `cargo build` made, on a database of its own."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

BINARY = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[3] / "target")) / "debug/flagbearer"
ADMIN_KEY = "planted-administrator-key-0123456789abcdef"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nobody answers at {url}")


class Server:
    def __init__(self, folder: Path) -> None:
        assert BINARY.exists(), f"there is no {BINARY}: `cargo build --workspace` makes it"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "FLAGBEARER_ADMIN_KEY": ADMIN_KEY}
        self.output = (folder / "server.log").open("wb")
        arguments = ["serve", "--listen", f"127.0.0.1:{port}", "--database-url", f"sqlite:{folder}/flagbearer.db"]
        arguments += ["--key-file", str(folder / "flagbearer.key")]
        self.process = subprocess.Popen([BINARY, *arguments], env=environment, cwd=folder, stdout=self.output, stderr=self.output)
        wait_for(f"{self.url}/.well-known/jwks.json", self.process)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.output.close()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The admin API."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method)) as response:
            return json.load(response)

    def application(self) -> str:
        created = self.call("POST", "/v1/applications", {"name": "app", "environment": "production", "public": True})
        return str(created["client_id"])

    def sign_in(self, application: str, user: str, organization: str | None = None) -> Any:
        return self.call("POST", "/v1/sessions", {"application": application, "user": user, "organization": organization})

    def refresh(self, application: str, tokens: Any) -> Any:
        form = {"grant_type": "refresh_token", "client_id": application, "refresh_token": tokens["refresh_token"]}
        with urllib.request.urlopen(f"{self.url}/oauth2/token", urllib.parse.urlencode(form).encode()) as response:
            return json.load(response)

    def target(self, flag: str, **targeting: Any) -> None:
        self.call("PUT", f"/v1/flags/{flag}/environments/production/targeting", targeting)
