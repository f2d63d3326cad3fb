"""Access to the page: by password, and by OpenID Connect with a stand-in for the provider."""

import time
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from joserfc import jwk, jwt
from playwright.sync_api import expect

from tests.browser.conftest import Served, free_port, settled
from tests.conftest import copy_sparse
from tests.qdrant_stand_in import Served as Http
from tests.qdrant_stand_in import send

CLIENT, SECRET = "twotower", "a secret of the provider's"


class Provider(Http):
    """OpenID Connect provider with one user, who is logged in without a form."""

    def __init__(self) -> None:
        self._key = jwk.RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"})
        self._nonce = ""
        super().__init__(self._handle)

    def _handle(self, handler, body) -> None:
        address = urlsplit(handler.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        if address.path == "/.well-known/openid-configuration":
            answer = {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
            send(handler, 200, answer)
        elif address.path == "/authorize":
            self._nonce = query.get("nonce", "")
            back = urlencode({"code": "once", "state": query["state"]})
            handler.send_response(302)
            handler.send_header("Location", f"{query['redirect_uri']}?{back}")
            handler.end_headers()
        elif address.path == "/token":
            token = {"access_token": "x", "token_type": "Bearer", "id_token": self._token()}
            send(handler, 200, token)
        else:
            send(handler, 200, {"keys": [self._key.as_dict(private=False)]})

    def _token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": "ann",
            "email": "ann@tarnwick.example",
            "iat": now,
            "exp": now + 600,
            "nonce": self._nonce,
        }
        return jwt.encode({"alg": "RS256"}, claims, self._key)


@pytest.fixture
def guarded(handbook, model_cache, tmp_path):
    """Function that serves the handbook with the given settings."""
    pages = []

    def make(**settings) -> Served:
        copy_sparse(handbook.data_dir, tmp_path / "data")
        pages.append(Served(tmp_path / "data", model_cache.folder, tmp_path, **settings))
        return pages[-1]

    yield make
    for page in pages:
        page.close()


def test_a_visitor_without_the_password_sees_no_documents(guarded, chromium):
    served = guarded(TWOTOWER_UI_PASSWORD="tarnwick")
    page = chromium.new_context().new_page()
    page.goto(f"{served.url}/index")
    expect(page.get_by_text("Enter the password to open this page.")).to_be_visible()
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Wrong password.")).to_be_visible()
    page.get_by_label("Password").fill("tarnwick")
    page.get_by_role("button", name="Open").click()
    # The login leads to the requested page, and stays valid.
    expect(page.get_by_role("heading", name="Versions")).to_be_visible()
    page.goto(f"{served.url}/?q=warranty")
    expect(page.locator("article.hit").first).to_be_visible()
    page.reload()
    expect(page.locator("article.hit").first).to_be_visible()
    page.context.close()


def test_a_visitor_logs_in_with_openid_connect(guarded, opened, tmp_path):
    provider = Provider()
    try:
        (tmp_path / ".streamlit").mkdir()
        secrets = tmp_path / ".streamlit" / "secrets.toml"
        port = free_port()  # needed beforehand for the redirect address
        secrets.write_text(
            f'[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            f'cookie_secret = "{"c" * 40}"\nclient_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
            f'server_metadata_url = "{provider.url}/.well-known/openid-configuration"\n'
        )
        served = guarded(port=port)
        page = opened(f"{served.url}/?q=warranty")
        expect(page.get_by_text("Log in to search these documents.")).to_be_visible()
        expect(page.locator("article.hit")).to_have_count(0)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("searchbox", name="Question")).to_be_visible()
        expect(page.get_by_text("ann@tarnwick.example")).to_be_visible()
        settled(page)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_text("Log in to search these documents.")).to_be_visible()
    finally:
        provider.close()
