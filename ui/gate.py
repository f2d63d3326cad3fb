"""Access to the page: the password gate, and the check of where connections come from.

Without the password a visitor gets no answer from the page, and opens no connection to it.
"""

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
_COOKIE_SECONDS = 30 * 24 * 3600  # a restart of the server ends all cookies earlier
_WRONG_PASSWORD_SECONDS = 1.0  # pause after a wrong password, shared by everybody who guesses
_HEALTH_PATH = "/_stcore/health"  # reveals nothing, and containers request it
_LOGIN_PATH = "/login"

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
<p>Enter the password to open this page.</p>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" autofocus>
{problem}<button>Open</button>
</form></main></body></html>
""")
_WRONG_PASSWORD = Markup("<p role='alert'>Wrong password.</p>")


class PasswordGate:
    """Middleware that shows a password form to visitors who have not entered the password.

    Parameters
    ----------
    app
        Application that only visitors with the password reach.
    """

    def __init__(self, app: ASGIApp, password: str) -> None:
        self._app = app
        self._password = password.encode()
        self._signer = TimestampSigner(secrets.token_bytes(32))
        self._check_lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the application, or answer it with the form."""
        kind = scope["type"]
        if (
            kind == "lifespan"
            or scope["path"] == _HEALTH_PATH
            or self._has_cookie(HTTPConnection(scope))
        ):
            await self._app(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            response = await self._respond(Request(scope, receive))
            await response(scope, receive, send)

    def _has_cookie(self, connection: HTTPConnection) -> bool:
        """Whether the connection carries a cookie that this server signed."""
        try:
            self._signer.unsign(connection.cookies.get(_COOKIE, ""), max_age=_COOKIE_SECONDS)
        except BadSignature:
            return False
        return True

    async def _respond(self, request: Request) -> Response:
        if request.method == "POST" and request.url.path == _LOGIN_PATH:
            return await self._check_password(request)
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            query = f"?{request.url.query}" if request.url.query else ""
            return _form(request.url.path + query, 401)
        return PlainTextResponse("Enter the password to open this page.", 401)

    async def _check_password(self, request: Request) -> Response:
        target = _local_target(request.query_params.get("next", "/"))
        password = (await request.form(max_fields=1, max_files=0)).get("password", "")
        async with self._check_lock:
            if hmac.compare_digest(str(password).encode(), self._password):
                response = RedirectResponse(target, 303)
                response.set_cookie(
                    _COOKIE,
                    self._signer.sign(secrets.token_hex(8)).decode(),
                    max_age=_COOKIE_SECONDS,
                    httponly=True,
                    samesite="lax",
                    secure=request.url.scheme == "https",
                )
                return response
            await asyncio.sleep(_WRONG_PASSWORD_SECONDS)
        return _form(target, 403, _WRONG_PASSWORD)


def _form(target: str, status: int, problem: str = "") -> HTMLResponse:
    action = f"{_LOGIN_PATH}?next={quote(target, safe='')}"
    return HTMLResponse(_FORM.format(action=action, problem=problem), status)


def _local_target(target: str) -> str:
    """Address to open after the login: on this server, or the start page."""
    parts = urlsplit(target)
    is_path = target.startswith("/") and not target.startswith(("//", "/\\"))
    return "/" if parts.scheme or parts.netloc or not is_path else target


class SameOrigin:
    """Middleware that refuses connections opened by another page, even one of another local port.

    Parameters
    ----------
    hosts
        Host names under which a proxy serves this page.
    """

    def __init__(self, app: ASGIApp, hosts: list[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the application, or close the connection."""
        if scope["type"] == "websocket":
            headers = HTTPConnection(scope).headers
            origin = urlsplit(headers.get("origin", ""))
            own = origin.netloc == headers.get("host") or origin.hostname in self._hosts
            if "origin" in headers and not own:
                await send({"type": "websocket.close", "code": 1008})
                return
        await self._app(scope, receive, send)
