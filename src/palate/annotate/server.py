"""The web application: pages, the files they load, and the API they speak; all of it behind the guard."""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from palate.annotate.guard import HEADERS, Guard, Refused, cookie_of, error_content
from palate.annotate.inputs import SentEvent, annotator_name, read_body, read_form, showings, whole_number
from palate.annotate.rendering import STATIC, LoginProblem, PageName, page_status, render_page
from palate.annotate.security import Access, Purpose
from palate.annotate.store_errors import KeyReused, MalformedEvent, NothingToUndo, UnknownItem
from palate.annotate.voting import Voting
from palate.annotate.wording import Language, language_for
from palate.errors import CallError, PalateError

__all__ = ["MAX_ITEMS_AT_ONCE", "build_app"]

MAX_ITEMS_AT_ONCE = 50
"""The most items that one request is given."""

# The browser came from another site's link, and a redirect would go on without the new cookie.
_ONWARD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/">'
    '<title>Palate</title><p><a href="/">Palate</a></p></html>'
)
_STATUSES: dict[type[PalateError], int] = {
    KeyReused: 409,
    MalformedEvent: 422,
    NothingToUndo: 409,
    UnknownItem: 404,
}

_log = logging.getLogger(__name__)


def build_app(voting: Voting, access: Access, *, language: Language = "en") -> FastAPI:
    """The application for a store in use. `language` is for visitors who ask for none it speaks."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    identity = voting.identity

    def page(request: Request, name: PageName, csrf: str = "", **more: Any) -> HTMLResponse:
        spoken = language_for(
            request.query_params.get("lang"), request.headers.get("accept-language"), language
        )
        html = render_page(name, spoken, csrf, store=identity, **more)
        return HTMLResponse(html, page_status(name, more.get("problem", "")))

    _add_entrances(app, access, page)
    _add_pages(app, access, page)
    _add_api(app, voting)
    _add_error_handlers(app)
    app.add_middleware(Guard, access=access)
    return app


def _add_entrances(app: FastAPI, access: Access, page: Any) -> None:
    """The two ways in: the token in the address, or the password."""
    # Of its own: a crowd that guesses takes no thread from those who vote.
    guesses = ThreadPoolExecutor(1, thread_name_prefix="password")

    @app.get("/enter")
    async def enter(request: Request) -> Response:
        if access.password is not None:
            return RedirectResponse("/login", 303)
        if not access.is_token(request.query_params.get("token", "")):
            return page(request, "enter")
        response = (
            HTMLResponse(_ONWARD)
            if request.headers.get("sec-fetch-site") in ("cross-site", "same-site")
            else RedirectResponse("/", 303)
        )
        return _let_in(request, response, access)

    @app.get("/login")
    async def login_form(request: Request) -> Response:
        if access.password is None:
            return RedirectResponse("/", 303)
        cookie = access.new_cookie("login")
        return _with_cookie(page(request, "login", access.csrf(cookie)), access, "login", cookie)

    @app.post("/login")
    async def login(request: Request) -> Response:
        if access.password is None:
            raise Refused(405, "there is no password here", next="open the address that was printed")
        fields = await read_form(request)
        cookie = cookie_of(request.scope, access, "login")
        if not cookie or not access.is_csrf(fields.get("csrf", ""), cookie):
            raise Refused(403, "the form is too old", next="load /login again")
        address = request.client.host if request.client else ""
        said = await asyncio.get_running_loop().run_in_executor(
            guesses, access.password.check, fields.get("password", ""), address
        )
        if said is True:
            return _let_in(request, RedirectResponse("/", 303), access)
        problem: LoginProblem = "wrong" if said is False else "wait"
        again = page(request, "login", access.csrf(cookie), problem=problem, wait_seconds=ceil(said))
        if problem == "wait":
            again.headers["Retry-After"] = str(ceil(said))
        return again


def _let_in(request: Request, response: Response, access: Access) -> Response:
    # A browser that is in already keeps its session, or its other tabs could save nothing any more.
    return response if request.state.session else _with_cookie(response, access, "session")


def _with_cookie(response: Response, access: Access, purpose: Purpose, value: str | None = None) -> Response:
    response.set_cookie(
        access.cookie(purpose),
        value or access.new_cookie(purpose),
        path="/",
        httponly=True,
        samesite="strict",
        secure=access.is_https,
    )
    return response


def _add_pages(app: FastAPI, access: Access, page: Any) -> None:
    def shown(request: Request, name: PageName) -> Response:
        session = request.state.session
        if session:
            return page(request, name, access.csrf(session))
        if access.password is not None:
            return RedirectResponse("/login", 303)
        return page(request, "enter")

    @app.get("/")
    async def vote(request: Request) -> Response:
        return shown(request, "vote")

    @app.get("/dashboard")
    async def dashboard(request: Request) -> Response:
        return shown(request, "dashboard")

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in STATIC:
            raise Refused(404, "there is no such file")
        content_type, content = STATIC[name]
        return Response(content, media_type=content_type)


def _add_api(app: FastAPI, voting: Voting) -> None:
    """What the pages ask; worked on in threads, since the store is waited for."""

    @app.get("/api/next")
    def next_items(request: Request) -> Response:
        query = _query(request, "annotator", "count", "skip")
        count = whole_number("count", query.get("count", "12"), 1, MAX_ITEMS_AT_ONCE)
        return _answer(voting.next(_annotator(query), count, showings(query.get("skip", ""))))

    @app.get("/api/disagreements")
    def disagreements(request: Request) -> Response:
        return _answer(voting.disagreements(_annotator(_query(request, "annotator"))))

    @app.get("/api/standing")
    def standing(request: Request) -> Response:
        reveal = _query(request, "reveal").get("reveal", "0")
        return _answer(voting.standing(reveal=whole_number("reveal", reveal, 0, 1) == 1))

    @app.post("/api/events")
    def record(body: Annotated[bytes, Depends(read_body)]) -> Response:
        return _answer(voting.record(SentEvent.parse(body)))


def _answer(content: dict[str, Any]) -> Response:
    # All but ASCII escaped: half a character in somebody's data is no reason to fail.
    return Response(json.dumps(content, allow_nan=False), media_type="application/json")


def _query(request: Request, *known: str) -> dict[str, str]:
    given = request.query_params.multi_items()
    if len(given) != len(dict(given)) or not set(dict(given)) <= set(known):
        raise Refused(422, f"this takes {', '.join(known)}, each once")
    return dict(given)


def _annotator(query: dict[str, str]) -> str:
    try:
        return annotator_name(query.get("annotator", ""))
    except ValueError as reason:
        raise Refused(422, f"annotator: {reason}") from None


def _add_error_handlers(app: FastAPI) -> None:
    """Whatever goes wrong is told as JSON, in words of ours: nothing that was sent is repeated as a page."""

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return _error(error.status, error.what, error.why, error.next)

    def palate_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, PalateError)
        if isinstance(error, CallError):
            return _error(_STATUSES.get(type(error), 400), error.what, error.why, error.next)
        _log.error("%s", error)
        return _error(503, error.what, error.why, error.next)

    def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _error(error.status_code, str(error.detail).lower(), headers=error.headers)

    def gone(request: Request, error: Exception) -> Response:
        return _error(400, "the request broke off")

    def unexpected(request: Request, error: Exception) -> Response:
        # This one is answered outside the guard, and the traceback goes to the log.
        return _error(500, "this server made a mistake", next="its terminal says more", headers=HEADERS)

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(PalateError, palate_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unexpected)


def _error(status: int, what: str, why: str = "", next: str = "", headers: Any = None) -> Response:
    return Response(error_content(what, why, next), status, headers, media_type="application/json")
