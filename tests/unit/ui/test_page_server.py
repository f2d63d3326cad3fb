"""What the page's server lets in, and tells browsers."""

import socket
import time

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.settings import load_settings
from retrieval.errors import ConfigurationError, ServiceError
from ui import server
from ui.gate import PasswordGate, SameOrigin


@pytest.fixture(scope="module")
def client():
    app = server.page(load_settings({}, ui_hosts="search.example, other.example"))
    with TestClient(app, base_url="http://127.0.0.1:8501") as opened:
        yield opened


def test_a_browser_is_told_to_fetch_nothing_from_elsewhere(client):
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
def test_only_names_of_this_page_are_answered(client, host, code):
    assert client.get("/_stcore/health", headers={"host": host}).status_code == code


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"host": "evil.example", "origin": "http://evil.example"}],
)
def test_a_page_of_someone_else_opens_no_connection(client, headers):
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(
            "ws://127.0.0.1:8501/_stcore/stream", headers=headers
        ) as connection,
    ):
        connection.receive_bytes()


def test_an_upload_without_its_token_is_refused(client):
    done = client.put("/_stcore/upload_file/session/file", files={"file": ("a.md", b"x")})
    assert done.status_code in (400, 403)


def test_what_decides_about_safety_is_set_whatever_the_person_has_set(client):
    from streamlit import config

    assert config.get_option("server.enableXsrfProtection") is True
    assert config.get_option("server.enableCORS") is True
    assert config.get_option("browser.gatherUsageStats") is False
    assert config.get_option("server.maxUploadSize") == load_settings({}).max_file_mb
    assert "search.example" in config.get_option("server.allowedHosts")
    assert "*" not in config.get_option("server.allowedHosts")


def test_a_page_that_others_reach_wants_a_password():
    with pytest.raises(ConfigurationError, match="TWOTOWER_UI_PASSWORD"):
        server.serve(load_settings({}, ui_host="0.0.0.0"), browser=False)


def test_a_port_that_is_taken_is_said_in_a_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"port {port} of 127.0.0.1 cannot be used"):
            server.serve(load_settings({}, ui_port=port), browser=False)


async def behind(scope, receive, send):
    """What stands behind a gate: it answers everything."""
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).accept()
    else:
        await PlainTextResponse("documents")(scope, receive, send)


@pytest.fixture
def gated():
    return TestClient(PasswordGate(behind, "tarnwick"), base_url="http://127.0.0.1:8501")


BROWSER = {"accept": "text/html"}


@pytest.mark.parametrize(
    "path", ["/", "/index?q=x", "/_stcore/metrics", "/_stcore/host-config", "/media/x", "/static/x"]
)
def test_nothing_is_answered_before_the_password(gated, path):
    assert gated.get(path).status_code == 401
    assert "asks for a password" in gated.get(path, headers=BROWSER).text
    assert gated.get("/_stcore/health").status_code == 200


def test_neither_uploads_nor_connections_come_before_the_password(gated):
    sent = gated.put("/_stcore/upload_file/session/file", files={"file": ("a.md", b"x")})
    assert sent.status_code == 401
    with (
        pytest.raises(WebSocketDisconnect),
        gated.websocket_connect("ws://127.0.0.1:8501/_stcore/stream") as connection,
    ):
        connection.receive_bytes()


def test_a_wrong_password_is_said_after_a_while_and_the_right_one_leads_back(gated):
    started = time.monotonic()
    wrong = gated.post("/login?next=/index", data={"password": "x"})
    assert wrong.status_code == 403
    assert "That is not the password" in wrong.text
    assert time.monotonic() - started >= 1
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
def test_the_password_leads_nowhere_else(gated, target):
    done = gated.post(
        "/login", params={"next": target}, data={"password": "tarnwick"}, follow_redirects=False
    )
    assert done.headers["location"] == "/"


def test_a_forged_cookie_opens_nothing(gated):
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
def test_only_this_page_opens_a_connection(origin, opens):
    page = SameOrigin(behind, ["search.example"])
    client = TestClient(page, base_url="http://127.0.0.1:8501")
    try:
        with client.websocket_connect(
            "ws://127.0.0.1:8501/_stcore/stream", headers={"origin": origin}
        ):
            opened = True
    except WebSocketDisconnect:
        opened = False
    assert opened == opens


def test_a_password_of_blanks_is_none():
    with pytest.raises(ConfigurationError, match="TWOTOWER_UI_PASSWORD"):
        server.serve(load_settings({}, ui_host="0.0.0.0", ui_password=" "), browser=False)
