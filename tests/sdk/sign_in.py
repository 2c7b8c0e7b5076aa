"""A user at the sign-in page, without a browser: follows redirects, keeps cookies, fills in the forms it is shown and posts
them as they stand. Knows nothing of the server but its pages."""

import http.client
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit


class _Page(HTMLParser):
    """The forms of a page: where each goes, and its fields; and what a reader sees of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []
        self.words: list[str] = []
        self._inside = False
        self._unseen = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = True
            self.forms.append({"action": found.get("action", ""), "fields": []})
        elif tag in ("input", "button") and self._inside and found.get("name"):
            self.forms[-1]["fields"].append(found)
        elif tag in ("head", "style"):
            self._unseen += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag in ("head", "style"):
            self._unseen -= 1

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.words += data.split()


class Browser:
    def __init__(self) -> None:
        self._cookies: dict[str, str] = {}

    def _send(self, url: SplitResult, method: str, body: str | None) -> tuple[int, str | None, str]:
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(url.netloc, timeout=30)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())} if self._cookies else {}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = f"{url.scheme}://{url.netloc}"
            headers["Sec-Fetch-Site"] = "same-origin"
        try:
            connection.request(method, url._replace(scheme="", netloc="", fragment="").geturl() or "/", body, headers)
            response = connection.getresponse()
            for line in response.headers.get_all("Set-Cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    if morsel["max-age"] and int(morsel["max-age"]) <= 0:
                        self._cookies.pop(name, None)
                    else:
                        self._cookies[name] = morsel.value
            return response.status, response.headers.get("Location"), response.read().decode()
        finally:
            connection.close()

    def visit(self, address: str, body: str | None = None) -> tuple[str, int, str | None]:
        """Goes to an address, and on wherever it leads within the same server: `(url, status, page)`; the page is `None`
        where it leads away."""
        origin = urlsplit(address)[:2]
        url = address
        method = "GET" if body is None else "POST"
        for _ in range(10):
            status, location, page = self._send(urlsplit(url), method, body)
            if location is None:
                return url, status, page
            url = urljoin(url, location)
            if urlsplit(url)[:2] != origin:
                return url, status, None
            method, body = "GET", None
        raise AssertionError(f"{address} redirects for ever")

    def sign_in(self, authorization_url: str, **answers: str) -> str:
        """Opens an authorization URL and signs in, as far as the pages ask: the answers name fields and what to enter
        (`email`, `password`, `organization`, …). Answers the address in the application that it ends at."""
        left = dict(answers)
        url, status, page = self.visit(authorization_url)
        while page is not None:
            seen = _Page(page)
            form = next((form for form in seen.forms if any(field["name"] in left for field in form["fields"])), None)
            if form is None:
                raise AssertionError(f"the page at {urlsplit(url).path} ({status}) does not go on: {' '.join(seen.words)}")
            entered = []
            for field in form["fields"]:
                if field.get("type") == "hidden":
                    entered.append((field["name"], field.get("value", "")))
                elif field["name"] in left:
                    entered.append((field["name"], left.pop(field["name"])))
            url, status, page = self.visit(urljoin(url, form["action"]), urlencode(entered))
        return url
