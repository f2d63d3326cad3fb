"""Server of the web page: its address, who may use it, and what a browser may fetch."""

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

from twotower.app.services.access import is_loopback
from twotower.app.settings import Settings
from twotower.retrieval.vocabulary.errors import ConfigurationError, ServiceError
from twotower.ui import resources
from twotower.ui.gate import PasswordGate, SameOrigin

_SCRIPT = Path(__file__).with_name("streamlit_app.py")
_ALL_INTERFACES = ("0.0.0.0", "::")  # noqa: S104 - compared
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_SHUTDOWN_SECONDS = 3  # time for open requests when the server stops

# Second line of defence behind escaping: whatever gets onto the page, the browser fetches nothing
# from another server. Vega compiles its expressions, which needs 'unsafe-eval'.
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
    b"referrer-policy": b"no-referrer",  # the address contains the search
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}


class SafeHeaders:
    """Middleware that forbids browsers to fetch from other servers and to embed the page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the application, and add the headers to its response."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [(k, v) for k, v in message["headers"] if k.lower() not in _HEADERS]
                message = {**message, "headers": [*others, *_HEADERS.items()]}
            await send(message)

        await self._app(scope, receive, with_headers)


def serve(settings: Settings, *, browser: bool) -> None:
    """Serve the page until Ctrl-C.

    Raises
    ------
    ConfigurationError
        If other machines could open the page without a password or a login.
    ServiceError
        If the port is in use.
    """
    _require_protection(settings)
    _require_free_port(settings)
    resources.use_settings(settings)
    host = "127.0.0.1" if settings.ui_host in _ALL_INTERFACES else settings.ui_host
    url_host = f"[{host}]" if ":" in host else host
    url = f"http://{url_host}:{settings.ui_port}"

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        threading.Thread(target=resources.warm_up, daemon=True).start()
        print(f"twotower is running at {url} (press Ctrl-C to stop)", file=sys.stderr, flush=True)
        if settings.ui_host in _ALL_INTERFACES and not settings.ui_hosts:
            print(
                "note: other machines can open the page only under the host names in "
                "TWOTOWER_UI_HOSTS, which is empty",
                file=sys.stderr,
                flush=True,
            )
        if browser:
            threading.Timer(0.5, webbrowser.open, (url,)).start()
        yield
        resources.close()

    uvicorn.run(
        build_app(settings, lifespan),
        host=settings.ui_host,
        port=settings.ui_port,
        log_level="warning",
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )


def build_app(settings: Settings, lifespan: Any = None) -> Any:
    """Build the web application, with its middleware."""
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=allowed_hosts(settings)),
        Middleware(SafeHeaders),
        Middleware(SameOrigin, hosts=_proxy_hosts(settings)),
    ]
    if password := settings.ui_password.get_secret_value():
        middleware.append(Middleware(PasswordGate, password=password))
    app = st.App(_SCRIPT, lifespan=lifespan, middleware=middleware, on_script_error=_show_error)
    configure(settings)  # after `st.App` has read the theme beside the script
    return app


def _proxy_hosts(settings: Settings) -> list[str]:
    return [name.strip() for name in settings.ui_hosts.split(",") if name.strip()]


def allowed_hosts(settings: Settings) -> list[str]:
    """Host names that the server answers to; it refuses requests for any other name."""
    own = () if settings.ui_host in _ALL_INTERFACES else (settings.ui_host,)
    return list(dict.fromkeys((*_LOOPBACK_NAMES, *own, *_proxy_hosts(settings))))


def configure(settings: Settings) -> None:
    """Set the options for security, over the user's own Streamlit settings."""
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


def _require_protection(settings: Settings) -> None:
    if is_loopback(settings.ui_host) or settings.ui_password.get_secret_value().strip():
        return
    if resources.has_login():
        return
    raise ConfigurationError(
        f"TWOTOWER_UI_HOST is {settings.ui_host}, so other machines could open the page without a "
        "password: set TWOTOWER_UI_PASSWORD, or configure a login ([auth] in "
        ".streamlit/secrets.toml)"
    )


def _require_free_port(settings: Settings) -> None:
    """Check the port before anything is loaded, so that the error is one line."""
    family = socket.AF_INET6 if ":" in settings.ui_host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":  # the port of a server that has just stopped counts as free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.ui_host, settings.ui_port))
        except OSError as error:
            raise ServiceError(
                f"port {settings.ui_port} of {settings.ui_host} cannot be used "
                f"({error.strerror}): stop the program that uses it, or set TWOTOWER_UI_PORT to "
                "another port"
            ) from error


def _show_error(error: Exception) -> bool:
    """Show an error of the script as one line; no traceback reaches a visitor."""
    from twotower.ui.components.notices import show_error  # noqa: PLC0415 - needs a running script

    show_error(error)
    return True
