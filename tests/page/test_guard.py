"""Who may use the page: asked over HTTP as other programs, other sites and other names would ask."""

from urllib.parse import urlsplit

import httpx
import pytest

from ftsdk import FtsdkError
from ftsdk.page.guard import FORM_TOKEN, Guard
from ftsdk.page.server import serving


@pytest.fixture(scope="module")
def page():
    with serving() as running:
        yield running


@pytest.fixture
def signed_in(page):
    with httpx.Client(follow_redirects=True) as client:
        assert client.get(page.url).status_code == 200
        client.base_url = f"http://{urlsplit(page.url).netloc}"
        yield client


def form_token(page):
    token = urlsplit(page.url).query.partition("=")[2]
    return Guard(None, token=token, port=1).form_token


@pytest.mark.parametrize(
    "path", ["/", "/rows", "/metrics?uri=local://x-00000000", "/assets/page.css", "/none", "/?token=x"]
)
def test_without_the_token_nothing_is_answered(page, path):
    answer = httpx.get(f"http://{urlsplit(page.url).netloc}{path}")
    assert (answer.status_code, "<" in answer.text) == (403, False)


def test_the_token_leaves_the_address_for_a_cookie_that_scripts_cannot_read(page):
    answer = httpx.get(page.url)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    further = httpx.get(page.url.replace("/?", "//evil.example/job?uri=a&"))
    assert further.headers["location"] == "/evil.example/job?uri=a"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "127.0.0.1", "localhost.evil.example:{port}", ""])
def test_another_host_name_is_refused_although_the_cookie_is_right(signed_in, page, host):
    name = host.format(port=urlsplit(page.url).port)
    assert signed_in.get("/", headers={"Host": name}).status_code == 421


def test_a_change_needs_origin_and_form_token(signed_in, page):
    origin, token = str(signed_in.base_url).rstrip("/"), form_token(page)
    path = "/job/cancel?uri=local://none-00000000"
    for headers in (
        {},
        {"Origin": origin},
        {FORM_TOKEN: token},
        {"Origin": "http://evil.example", FORM_TOKEN: token},
        {"Origin": "null", FORM_TOKEN: token},
        {"Origin": origin, FORM_TOKEN: "ü".encode()},
    ):
        assert signed_in.post(path, headers=headers).status_code == 403
    answer = signed_in.post(path, headers={"Origin": origin, FORM_TOKEN: token})
    assert answer.status_code == 404  # let through: there is no such job
    assert signed_in.get(path).status_code == 405


def test_every_answer_forbids_foreign_scripts_frames_and_caches(signed_in):
    for path in ("/", "/assets/page.css", "/nothing", "/job"):
        headers = signed_in.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["cache-control"] == "no-store"


def test_a_port_in_use_is_refused_in_one_sentence(page):
    taken = urlsplit(page.url).port
    with pytest.raises(FtsdkError, match=f"Port {taken} cannot be used"), serving(port=taken):
        pass
