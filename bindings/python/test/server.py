"""A real Flagbearer server: the binary that `cargo build` made, on a database of its own."""

import json
import os
import subprocess
import threading
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any

BINARY = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[3] / "target")) / "debug/flagbearer"
ADMIN_KEY = "planted-administrator-key-0123456789abcdef"
LOG_LEVEL = "trace,hyper=info,sqlx=info,h2=info,reqwest=info"
PATIENCE = 30


def log(folder: Path) -> Path:
    """Where a server in this folder logs to: where `tests/run` searches everything for secrets, if it runs this."""
    kept = os.environ.get("FLAGBEARER_TEST_LOGS")
    return Path(kept) / f"python-{os.getpid()}-{folder.name}.log" if kept else folder / "server.log"


def address(output: IO[bytes], process: "subprocess.Popen[bytes]") -> str:
    """What the server says that it listens on, once it does."""
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        for line in output:
            _, found, url = line.decode().rstrip().partition(" listens on ")
            if found:
                return url
    finally:
        watchdog.cancel()
    raise AssertionError("the server ended before it listened")


class Server:
    def __init__(self, folder: Path, public_url: str | None = None) -> None:
        """In a folder where one has run before it goes on with its database. ``public_url``: the issuer, where it is not the
        address that it listens on."""
        assert BINARY.exists(), f"there is no {BINARY}: `cargo build --workspace` makes it"
        environment = {**os.environ, "FLAGBEARER_ADMIN_KEY": ADMIN_KEY, "FLAGBEARER_LOG": LOG_LEVEL}
        arguments = ["serve", "--listen", "127.0.0.1:0", "--database-url", f"sqlite:{folder}/flagbearer.db"]
        arguments += ["--key-file", str(folder / "flagbearer.key")]
        if public_url is not None:
            arguments += ["--public-url", public_url]
        with log(folder).open("ab") as errors:
            self.process = subprocess.Popen(
                [BINARY, *arguments], env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=errors
            )
        assert self.process.stdout is not None
        self.output = self.process.stdout
        self.url = address(self.output, self.process)

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
