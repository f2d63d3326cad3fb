"""What the page's server lets in, and tells browsers."""

import socket

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from app.settings import load_settings
from retrieval.errors import ConfigurationError, ServiceError
from ui import server


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
        client.websocket_connect("/_stcore/stream", headers=headers) as connection,
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
