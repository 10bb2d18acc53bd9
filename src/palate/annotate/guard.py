"""What stands before every route: none is reached without the right host, origin, session and CSRF token."""

from __future__ import annotations

import json
from urllib.parse import unquote_to_bytes

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from palate.annotate.rendering import CONTENT_SECURITY_POLICY
from palate.annotate.security import Access, Purpose

__all__ = ["HEADERS", "Guard", "Refused", "cookie_of", "error_content"]

_MAX_TARGET_BYTES = 8 * 1024

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
"""On every response, refusals too. No header gives another site leave to read anything."""

_PAGES = ("/", "/dashboard", "/enter", "/login")
"""What a link may lead to. Each says itself what it has for somebody without a session: next to nothing."""


class Refused(Exception):
    """A request that is not answered, and what it is told."""

    def __init__(self, status: int, what: str, why: str = "", next: str = "") -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.why = why
        self.next = next


def error_content(what: str, why: str = "", next: str = "") -> bytes:
    """The body of every refusal."""
    return json.dumps({"error": {"what": what, "why": why, "next": next}}).encode()


class Guard:
    """ASGI middleware. What it lets through has `scope["state"]["session"]`, the cookie or an empty string.

    Without a session it lets nothing through but the pages and the files they load.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access
        self._hosts = access.hosts
        self._origins = access.origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message.get("headers", [])))
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                message = {**message, "headers": headers.raw}
            await send(message)

        try:
            scope.setdefault("state", {})["session"] = self._checked(scope)
        except Refused as refused:
            await _refuse(refused, scope, send_with_headers)
            return
        await self.app(scope, receive, send_with_headers)

    def _checked(self, scope: Scope) -> str:
        """The session of a request that may pass; empty where it needs none.

        Raises:
            Refused: it may not.
        """
        _check_target(scope)
        headers = scope["headers"]
        if _only(headers, b"transfer-encoding") and _only(headers, b"content-length"):
            raise Refused(400, "the body has two lengths", "two readers of it could each believe another one")
        self._check_host(headers)
        path, is_read = scope["path"], scope["method"] in ("GET", "HEAD")
        self._check_origin(headers, path, is_read)
        session = cookie_of(scope, self.access, "session")
        if path == "/login" or (is_read and (path in _PAGES or path.startswith("/static/"))):
            return session
        if not session:
            raise self._no_session()
        if not is_read and not self.access.is_csrf(_only(headers, b"x-palate-csrf"), session):
            raise Refused(
                403,
                "the page's token is missing or another",
                "only a page of this server may change anything",
                "load the page again",
            )
        return session

    def _check_host(self, headers: list[tuple[bytes, bytes]]) -> None:
        if _only(headers, b"host").lower() not in self._hosts:
            raise Refused(
                421,
                "this server does not go by that name",
                "a page of another site could give itself this machine's address",
                "use the address `palate annotate` printed, the port too; --public-name NAME adds a name",
            )

    def _check_origin(self, headers: list[tuple[bytes, bytes]], path: str, is_read: bool) -> None:
        """Browsers say where a request comes from, and a page cannot make them lie."""
        refused = Refused(403, "the request comes from another site")
        origin = _only(headers, b"origin").lower()
        # A form of a page that sends no referrer has the origin "null"; the login form has a token for that.
        if origin and origin not in self._origins and (origin, path) != ("null", "/login"):
            raise refused
        site = _only(headers, b"sec-fetch-site")
        if site in ("", "same-origin", "none"):
            return
        # A link in a mail may lead here: it opens a page, and without its cookie the page says nothing.
        is_link = is_read and path in _PAGES and _only(headers, b"sec-fetch-mode") == "navigate"
        if not is_link or _only(headers, b"sec-fetch-dest") != "document":
            raise refused

    def _no_session(self) -> Refused:
        if self.access.password is not None:
            return Refused(401, "you are not logged in", next="log in again: /login")
        return Refused(
            401,
            "this browser has not been let in",
            "each start of `palate annotate` makes a new address with a secret in it",
            "open the whole address that `palate annotate` printed; votes not yet saved are sent then",
        )


def cookie_of(scope: Scope, access: Access, purpose: Purpose) -> str:
    """The cookie's value where this server gave it out, else nothing."""
    for name, value in scope["headers"]:
        if name != b"cookie":
            continue
        for part in value.decode("latin-1").split(";"):
            key, _, content = part.strip().partition("=")
            if key == access.cookie(purpose) and access.is_cookie(content, purpose):
                return content
    return ""


def _only(headers: list[tuple[bytes, bytes]], wanted: bytes) -> str:
    """The header's value, or nothing.

    Raises:
        Refused: it is there twice: two readers of it could each believe another one.
    """
    found = [value for name, value in headers if name == wanted]
    if len(found) > 1:
        raise Refused(400, f"the header {wanted.decode()} is there more than once")
    return found[0].decode("latin-1").strip() if found else ""


def _check_target(scope: Scope) -> None:
    raw = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    if len(raw) + len(scope["query_string"]) > _MAX_TARGET_BYTES:
        raise Refused(414, "the address is too long")
    for part in (raw, scope["query_string"]):
        try:
            text = unquote_to_bytes(part).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused(400, "the address is not UTF-8") from None
        if "\x00" in text:
            raise Refused(400, "the address holds a NUL")


async def _refuse(refused: Refused, scope: Scope, send: Send) -> None:
    """As JSON whatever was asked for: what a refusal says can never be read as a page."""
    body = error_content(refused.what, refused.why, refused.next)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # the body that came with it is not read
    ]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
