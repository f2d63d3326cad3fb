"""The server of the web page: what it listens on, who may ask, and what a browser may fetch."""

import os
import socket
import sys
import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
import uvicorn
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

from app.settings import Settings
from app.workspace import is_loopback
from retrieval.errors import ConfigurationError, ServiceError
from ui import resources
from ui.gate import PasswordGate, SameOrigin

_SCRIPT = Path(__file__).with_name("streamlit_app.py")
_ALL = ("0.0.0.0", "::")  # noqa: S104 - compared
_OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
_LAST_SECONDS = 3  # for what is under way when the server ends

# The second line of defence behind escaping: whatever gets onto the page, a browser fetches nothing
# from elsewhere for it. Vega compiles its expressions, which takes 'unsafe-eval'.
_POLICY = (
    "default-src 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; "
    "font-src 'self' data:; "
    "connect-src 'self'; "
    "worker-src 'self' blob:; "
    "form-action 'self'; "
    "base-uri 'self'; "
    "object-src 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"referrer-policy": b"no-referrer",  # a shared search stands in the address
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}


class SafeHeaders:
    """Tells browsers to fetch nothing from elsewhere, and to show the page in no other one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to what comes back."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(k, v) for k, v in message["headers"] if k.lower() not in _HEADERS]
                message = {**message, "headers": [*kept, *_HEADERS.items()]}
            await send(message)

        await self._app(scope, receive, with_headers)


def serve(settings: Settings, *, browser: bool) -> None:
    """Serve the page until Ctrl-C.

    Raises
    ------
    ConfigurationError
        If the page would be open to other machines without a password or a login.
    ServiceError
        If the port is taken.
    """
    _require_guarded(settings)
    _require_free(settings)
    resources.use(settings)
    host = "127.0.0.1" if settings.ui_host in _ALL else settings.ui_host
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{settings.ui_port}"

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        threading.Thread(target=resources.warm_up, daemon=True).start()
        print(f"twotower is at {url} (Ctrl-C ends it)", file=sys.stderr, flush=True)
        if settings.ui_host in _ALL and not settings.ui_hosts:
            print(
                "note: other machines reach it under the names in TWOTOWER_UI_HOSTS, and there are "
                "none yet",
                file=sys.stderr,
                flush=True,
            )
        if browser:
            threading.Timer(0.5, webbrowser.open, (url,)).start()
        yield
        resources.close()

    uvicorn.run(
        page(settings, lifespan),
        host=settings.ui_host,
        port=settings.ui_port,
        log_level="warning",
        timeout_graceful_shutdown=_LAST_SECONDS,
    )


def page(settings: Settings, lifespan: Any = None) -> Any:
    """Make the application that answers a browser."""
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=allowed_hosts(settings)),
        Middleware(SafeHeaders),
        Middleware(SameOrigin, names=_names(settings)),
    ]
    if password := settings.ui_password.get_secret_value():
        middleware.append(Middleware(PasswordGate, password=password))
    app = st.App(_SCRIPT, lifespan=lifespan, middleware=middleware, on_script_error=_tell_error)
    configure(settings)  # after the theme beside the script is known
    return app


def _names(settings: Settings) -> list[str]:
    return [name.strip() for name in settings.ui_hosts.split(",") if name.strip()]


def allowed_hosts(settings: Settings) -> list[str]:
    """Host names that a request may be for: a page of a stranger's name gets no answer."""
    own = () if settings.ui_host in _ALL else (settings.ui_host,)
    return list(dict.fromkeys((*_OWN_NAMES, *own, *_names(settings))))


def configure(settings: Settings) -> None:
    """Set what decides about safety, whatever a person's own Streamlit settings say."""
    for option, value in {
        "server.address": settings.ui_host,
        "server.port": settings.ui_port,
        "server.headless": True,
        "server.allowedHosts": allowed_hosts(settings),
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.maxUploadSize": settings.max_file_mb,
        "server.fileWatcherType": "none",
        "server.enableStaticServing": False,
        "server.enableAgentApi": False,
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
    }.items():
        config.set_option(option, value)


def _require_guarded(settings: Settings) -> None:
    if is_loopback(settings.ui_host) or settings.ui_password.get_secret_value().strip():
        return
    if resources.has_login():
        return
    raise ConfigurationError(
        f"TWOTOWER_UI_HOST is {settings.ui_host}, so other machines reach the page, and nothing "
        "asks who they are: set TWOTOWER_UI_PASSWORD, or configure a login ([auth] in "
        ".streamlit/secrets.toml)"
    )


def _require_free(settings: Settings) -> None:
    """Say so before anything is loaded, in one line."""
    family = socket.AF_INET6 if ":" in settings.ui_host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":  # a port whose server has just ended is free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.ui_host, settings.ui_port))
        except OSError as error:
            raise ServiceError(
                f"port {settings.ui_port} of {settings.ui_host} cannot be used "
                f"({error.strerror}): is a page running already? Choose another with --port"
            ) from error


def _tell_error(error: Exception) -> bool:
    """Show what went wrong as one line; no traceback reaches a visitor."""
    from ui.components.notices import show_error  # noqa: PLC0415 - it needs a running script

    show_error(error)
    return True
