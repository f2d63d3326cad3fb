"""The server of the page: hosts, origins, headers and the password."""

import asyncio
import socket

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from twotower.app.settings import load_settings
from twotower.retrieval.vocabulary.errors import ConfigurationError, ServiceError
from twotower.ui import server
from twotower.ui.gate import PasswordGate, SameOrigin


@pytest.fixture(scope="module")
def client():
    app = server.build_app(load_settings({}, ui_hosts="search.example, other.example"))
    with TestClient(app, base_url="http://127.0.0.1:8501") as client:
        yield client


def test_headers_forbid_requests_to_other_servers(client):
    headers = client.get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1:8501", 200),
        ("localhost:8501", 200),
        ("search.example", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
    ],
)
def test_only_known_host_names_are_answered(client, host, code):
    assert client.get("/_stcore/health", headers={"host": host}).status_code == code


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"host": "evil.example", "origin": "http://evil.example"}],
)
def test_another_page_cannot_open_a_connection(client, headers):
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(
            "ws://127.0.0.1:8501/_stcore/stream", headers=headers
        ) as connection,
    ):
        connection.receive_bytes()


def test_an_upload_without_a_token_is_refused(client):
    response = client.put("/_stcore/upload_file/session/file", files={"file": ("a.md", b"x")})
    assert response.status_code in (400, 403)


def test_options_for_security_override_the_users_own_settings(client):
    from streamlit import config

    assert config.get_option("server.enableXsrfProtection") is True
    assert config.get_option("server.enableCORS") is True
    assert config.get_option("browser.gatherUsageStats") is False
    assert config.get_option("server.maxUploadSize") == load_settings({}).max_file_mb
    assert "search.example" in config.get_option("server.allowedHosts")
    assert "*" not in config.get_option("server.allowedHosts")


def test_a_page_on_all_interfaces_needs_a_password():
    with pytest.raises(ConfigurationError, match="TWOTOWER_UI_PASSWORD"):
        server.serve(load_settings({}, ui_host="0.0.0.0"), browser=False)


def test_a_port_in_use_is_one_error_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"port {port} of 127.0.0.1 cannot be used"):
            server.serve(load_settings({}, ui_port=port), browser=False)


async def application(scope, receive, send):
    """Application behind the middleware; it answers every request."""
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).accept()
    else:
        await PlainTextResponse("documents")(scope, receive, send)


@pytest.fixture
def gated():
    return TestClient(PasswordGate(application, "tarnwick"), base_url="http://127.0.0.1:8501")


BROWSER = {"accept": "text/html"}


@pytest.mark.parametrize(
    "path", ["/", "/index?q=x", "/_stcore/metrics", "/_stcore/host-config", "/media/x", "/static/x"]
)
def test_no_path_is_answered_without_the_password(gated, path):
    assert gated.get(path).status_code == 401
    assert "Enter the password" in gated.get(path, headers=BROWSER).text
    assert gated.get("/_stcore/health").status_code == 200


def test_uploads_and_connections_need_the_password(gated):
    response = gated.put("/_stcore/upload_file/session/file", files={"file": ("a.md", b"x")})
    assert response.status_code == 401
    with (
        pytest.raises(WebSocketDisconnect),
        gated.websocket_connect("ws://127.0.0.1:8501/_stcore/stream") as connection,
    ):
        connection.receive_bytes()


def test_a_wrong_password_is_refused_after_a_pause_and_the_right_one_leads_back(gated, monkeypatch):
    pauses, sleep = [], asyncio.sleep

    async def pause(seconds):
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr("twotower.ui.gate.asyncio.sleep", pause)
    wrong = gated.post("/login?next=/index", data={"password": "x"})
    assert wrong.status_code == 403
    assert "Wrong password" in wrong.text
    assert [seconds for seconds in pauses if seconds] == [1.0]
    right = gated.post(
        "/login?next=/index%3Fq%3Dx", data={"password": "tarnwick"}, follow_redirects=False
    )
    assert (right.status_code, right.headers["location"]) == (303, "/index?q=x")
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert gated.get("/", headers=BROWSER).text == "documents"
    with gated.websocket_connect("ws://127.0.0.1:8501/_stcore/stream"):
        pass  # the cookie opens connections as well


@pytest.mark.parametrize(
    "target", ["//evil.example", "http://evil.example", "/\\evil.example", "x"]
)
def test_the_login_redirects_to_this_server_only(gated, target):
    response = gated.post(
        "/login", params={"next": target}, data={"password": "tarnwick"}, follow_redirects=False
    )
    assert response.headers["location"] == "/"


def test_a_forged_cookie_is_refused(gated):
    assert gated.get("/", headers={"cookie": "twotower=abc.def.ghi"}).status_code == 401


@pytest.mark.parametrize(
    ("origin", "opens"),
    [
        ("http://127.0.0.1:8501", True),
        ("https://search.example", True),
        ("http://127.0.0.1:9999", False),
        ("https://localhost", False),
        ("null", False),
    ],
)
def test_only_this_page_can_open_a_connection(origin, opens):
    page = SameOrigin(application, ["search.example"])
    client = TestClient(page, base_url="http://127.0.0.1:8501")
    try:
        with client.websocket_connect(
            "ws://127.0.0.1:8501/_stcore/stream", headers={"origin": origin}
        ):
            opened = True
    except WebSocketDisconnect:
        opened = False
    assert opened == opens


def test_a_blank_password_counts_as_none():
    with pytest.raises(ConfigurationError, match="TWOTOWER_UI_PASSWORD"):
        server.serve(load_settings({}, ui_host="0.0.0.0", ui_password=" "), browser=False)
