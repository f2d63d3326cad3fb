"""The password: nothing of the page is answered, not even a connection, to who does not know it."""

import asyncio
import hmac
import secrets
from urllib.parse import quote, urlsplit

from itsdangerous import BadSignature, TimestampSigner
from markupsafe import Markup
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

_COOKIE = "twotower"
_KEPT = 30 * 24 * 3600  # seconds; a server that starts anew asks again
_PAUSE = 1.0  # seconds after a wrong password, for all who guess together
_OPEN = "/_stcore/health"  # tells nothing, and is what containers ask
_LOGIN = "/login"

_FORM = Markup("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>twotower</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
body {{ display: grid; place-items: center; min-height: 90vh; margin: 0; }}
form {{ display: grid; gap: .8rem; width: min(22rem, 88vw); }}
input, button {{ font: inherit; padding: .6rem .8rem; border-radius: .5rem; }}
input {{ border: 1px solid #8893a2; }}
button {{ background: #1f5f9e; color: #fff; border: 0; cursor: pointer; }}
p {{ margin: 0; }} [role=alert] {{ color: light-dark(#a8323e, #f0959d); }}
</style></head>
<body><main><form method="post" action="{action}">
<h1>twotower</h1>
<p>This page asks for a password.</p>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" autofocus>
{wrong}<button>Open</button>
</form></main></body></html>
""")
_WRONG = Markup("<p role='alert'>That is not the password.</p>")


class PasswordGate:
    """Lets those in who have shown the password, and asks the others for it.

    Parameters
    ----------
    app
        What stands behind it.
    """

    def __init__(self, app: ASGIApp, password: str) -> None:
        self._app = app
        self._password = password.encode()
        self._signer = TimestampSigner(secrets.token_bytes(32))
        self._guessing = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the form."""
        kind = scope["type"]
        if kind == "lifespan" or scope["path"] == _OPEN or self._let_in(HTTPConnection(scope)):
            await self._app(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            answer = await self._answer(Request(scope, receive))
            await answer(scope, receive, send)

    def _let_in(self, asking: HTTPConnection) -> bool:
        try:
            self._signer.unsign(asking.cookies.get(_COOKIE, ""), max_age=_KEPT)
        except BadSignature:
            return False
        return True

    async def _answer(self, request: Request) -> Response:
        if request.method == "POST" and request.url.path == _LOGIN:
            return await self._tried(request)
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            query = f"?{request.url.query}" if request.url.query else ""
            return _form(request.url.path + query, 401)
        return PlainTextResponse("This page asks for a password.", 401)

    async def _tried(self, request: Request) -> Response:
        target = _inside(request.query_params.get("next", "/"))
        given = (await request.form(max_fields=1, max_files=0)).get("password", "")
        async with self._guessing:
            if hmac.compare_digest(str(given).encode(), self._password):
                answer = RedirectResponse(target, 303)
                answer.set_cookie(
                    _COOKIE,
                    self._signer.sign(secrets.token_hex(8)).decode(),
                    max_age=_KEPT,
                    httponly=True,
                    samesite="lax",
                    secure=request.url.scheme == "https",
                )
                return answer
            await asyncio.sleep(_PAUSE)
        return _form(target, 403, _WRONG)


def _form(target: str, status: int, wrong: str = "") -> HTMLResponse:
    action = f"{_LOGIN}?next={quote(target, safe='')}"
    return HTMLResponse(_FORM.format(action=action, wrong=wrong), status)


def _inside(target: str) -> str:
    """Where to go after the password: a page of ours, whatever the address says."""
    parts = urlsplit(target)
    inside = target.startswith("/") and not target.startswith(("//", "/\\"))
    return "/" if parts.scheme or parts.netloc or not inside else target


class SameOrigin:
    """Refuses connections that another page opens, one of another port of this machine as well.

    Parameters
    ----------
    names
        Under which a proxy shows this page.
    """

    def __init__(self, app: ASGIApp, names: list[str]) -> None:
        self._app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or close the connection."""
        if scope["type"] == "websocket":
            headers = HTTPConnection(scope).headers
            origin = urlsplit(headers.get("origin", ""))
            own = origin.netloc == headers.get("host") or origin.hostname in self._names
            if "origin" in headers and not own:
                await send({"type": "websocket.close", "code": 1008})
                return
        await self._app(scope, receive, send)
