"""Keys, tokens, hosts and web sites, at the real server."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.custom_pictures import neutral, smiling, zipped
from tests.watson_server import (
    CLASSIFIERS,
    CLASSIFY,
    ROOT,
    Reply,
    WatsonServer,
    command,
    part,
    running,
)

KEY = "s3cret-Käse"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    env = {"SHELLY_APIKEY": KEY}
    with running(data_dir=tmp_path_factory.mktemp("data"), env=env) as server:
        yield server


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    with running(data_dir=tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatsonServer]:
    with running(data_dir=tmp_path_factory.mktemp("data"), kind="web") as server:
        yield server


def basic(user: str, key: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()


def token(server: WatsonServer, key: str = KEY, path: str = "/identity/token") -> dict[str, object]:
    headers = {"Content-Type": "application/x-www-form-urlencoded",
               "Authorization": "Basic Yng6Yng="}  # fmt: skip
    body = (
        "grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey"
        f"&apikey={key}&response_type=cloud_iam"
    )
    reply = server.ask("POST", path, body.encode(), headers)
    assert reply.status == 200
    answer: dict[str, object] = reply.json
    return answer


class TestKeys:
    def test_the_key_as_a_password(self, locked: WatsonServer) -> None:
        assert locked.get(CLASSIFIERS, Authorization=basic("apikey", KEY)).status == 200

    @pytest.mark.parametrize("name", ["api_key", "apikey"])
    def test_the_key_in_the_address(self, locked: WatsonServer, name: str) -> None:
        assert locked.get(f"{CLASSIFIERS}&{name}=s3cret-K%C3%A4se").status == 200

    @pytest.mark.parametrize("path", ["/identity/token", "/visual-recognition/api/identity/token"])
    def test_a_token_for_the_key(self, locked: WatsonServer, path: str) -> None:
        answer = token(locked, path=path)
        access = str(answer["access_token"])
        claims = json.loads(base64.urlsafe_b64decode(access.split(".")[1] + "=="))
        assert abs(claims["iat"] - time.time()) < 60
        assert claims["exp"] - claims["iat"] == answer["expires_in"] == 3600
        assert answer["expiration"] == claims["exp"]
        assert locked.get(CLASSIFIERS, Authorization=f"Bearer {access}").status == 200
        assert locked.get(CLASSIFIERS, X_Watson_Authorization_Token=access).status == 200

    def test_a_token_is_good_at_another_server_with_the_key(
        self, locked: WatsonServer, tmp_path: Path
    ) -> None:
        access = token(locked)["access_token"]
        with running(data_dir=tmp_path, env={"SHELLY_APIKEY": KEY}) as second:
            assert second.get(CLASSIFIERS, Authorization=f"Bearer {access}").status == 200
        with running(data_dir=tmp_path, env={"SHELLY_APIKEY": "another"}) as third:
            assert third.get(CLASSIFIERS, Authorization=f"Bearer {access}").status == 401

    @pytest.mark.parametrize(
        "header",
        [
            "",
            basic("apikey", "wrong"),
            basic("apikey", ""),
            basic("me", KEY),
            "Basic ###",
            "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
            "Bearer",
            "Bearer x.y.z",
            "Bearer " + KEY.encode("ascii", "ignore").decode(),
            "Digest x",
        ],
    )
    def test_a_wrong_key(self, locked: WatsonServer, header: str) -> None:
        headers = {"Authorization": header} if header else {}
        for reply in (
            locked.get(CLASSIFIERS, **headers),
            locked.send(CLASSIFY, part("images_file", b"x", "x.jpg"), headers=headers),
        ):
            assert reply.status == 401
            assert reply.json == {"code": 401, "error": "Unauthorized"}
            assert reply.headers["WWW-Authenticate"].startswith("Basic ")

    def test_a_forged_token(self, locked: WatsonServer) -> None:
        header, claims, signature = str(token(locked)["access_token"]).split(".")
        later = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"exp": 2**40}
        forged = base64.urlsafe_b64encode(json.dumps(later).encode()).rstrip(b"=").decode()
        none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
        for text in (f"{header}.{forged}.{signature}", f"{none}.{claims}.", f"{none}.{forged}."):
            assert locked.get(CLASSIFIERS, Authorization=f"Bearer {text}").status == 401

    def test_no_token_for_a_wrong_key(self, locked: WatsonServer) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = locked.ask("POST", "/identity/token", b"apikey=wrong", headers)
        assert reply.json == {"code": 401, "error": "Unauthorized"}
        reply = locked.ask("POST", "/identity/token", b"grant_type=password", headers)
        assert (reply.status, reply.json["code"]) == (400, 400)

    def test_a_token_for_a_refresh_token(self, locked: WatsonServer) -> None:
        first = token(locked)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}

        def renewed(text: object) -> Reply:
            body = f"grant_type=refresh_token&refresh_token={text}".encode()
            return locked.ask("POST", "/identity/token", body, headers)

        access = renewed(first["refresh_token"]).json["access_token"]
        assert locked.get(CLASSIFIERS, Authorization=f"Bearer {access}").status == 200
        # Each is good for its own purpose only.
        refresh = first["refresh_token"]
        assert locked.get(CLASSIFIERS, Authorization=f"Bearer {refresh}").status == 401
        for wrong in (first["access_token"], "", "not_supported"):
            assert (renewed(wrong).status, renewed(wrong).json["code"]) == (401, 401)

    def test_guesses_are_slowed_and_tokens_are_not(self, tmp_path: Path) -> None:
        with running(data_dir=tmp_path, env={"SHELLY_APIKEY": KEY}) as server:
            access = token(server)["access_token"]
            replies = [
                server.get(CLASSIFIERS, Authorization=basic("apikey", f"guess {n}"))
                for n in range(60)
            ]
            statuses = [reply.status for reply in replies]
            assert statuses[:20] == [401] * 20
            assert statuses.count(429) > 30
            refused = next(reply for reply in replies if reply.status == 429)
            assert int(refused.headers["Retry-After"]) > 0
            for path in (f"{CLASSIFIERS}&api_key=guess", f"{CLASSIFIERS}&apikey=guess"):
                assert server.get(path).status == 429
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            assert server.ask("POST", "/identity/token", b"apikey=x", form).status == 429
            assert server.get(CLASSIFIERS, Authorization=f"Bearer {access}").status == 200
            time.sleep(1.2)
            assert server.get(CLASSIFIERS, Authorization=basic("apikey", KEY)).status == 200

    def test_a_key_that_is_no_text(self, tmp_path: Path) -> None:
        done = subprocess.run(
            command(data_dir=tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=60,
            env={**os.environ, "SHELLY_APIKEY": "k\udcff"},
        )  # fmt: skip
        assert done.returncode == 1
        assert "SHELLY_APIKEY must be UTF-8" in done.stderr
        assert "Traceback" not in done.stderr

    def test_health_and_document_need_no_key(self, locked: WatsonServer) -> None:
        for path in ("/health", "/ready", "/openapi.json", "/"):
            assert locked.get(path).status == 200

    def test_without_a_key_everything_is_let_in(self, open_server: WatsonServer) -> None:
        access = token(open_server, "any")["access_token"]
        for header in (f"Bearer {access}", "Bearer x", basic("apikey", "any"), ""):
            assert open_server.get(CLASSIFIERS, Authorization=header).status == 200


class TestOthers:
    def test_a_foreign_name(self, open_server: WatsonServer) -> None:
        reply = open_server.get(CLASSIFIERS, Host="evil.example")
        assert (reply.status, reply.json["code"]) == (403, 403)

    def test_a_foreign_page_may_classify_and_nothing_else(
        self, open_server: WatsonServer, smiling_photo: Path
    ) -> None:
        foreign = {"Origin": "https://evil.example"}
        picture = part("images_file", smiling_photo.read_bytes(), "me.jpg")
        assert open_server.send(CLASSIFY, picture, headers=foreign).status == 200
        for method, path in (
            ("GET", CLASSIFIERS),
            ("POST", CLASSIFIERS),
            ("DELETE", "/v3/classifiers/x_123456789?version=2018-03-19"),
            ("DELETE", "/v3/user_data?version=2018-03-19&customer_id=x"),
        ):
            assert open_server.ask(method, path, headers=foreign).status == 403
        # Nor by a question about what there is.
        for more in (
            part("classifier_ids", "x_123456789"),
            part("owners", "IBM,me"),
            part("parameters", '{"owners": ["me"]}'),
            part("url", "http://127.0.0.1/"),
        ):
            assert open_server.send(CLASSIFY, picture, more, headers=foreign).status == 403
        built_in = [part("owners", "IBM"), part("classifier_ids", "default,emotion")]
        assert open_server.send(CLASSIFY, picture, *built_in, headers=foreign).status == 200
        image = {"Sec-Fetch-Site": "cross-site"}  # of <img>, which sends no Origin
        assert open_server.ask("GET", f"{CLASSIFY}&url=http://x/", headers=image).status == 403
        own = {"Origin": open_server.url}
        assert open_server.ask("GET", CLASSIFIERS, headers=own).status == 200

    def test_with_the_key_any_page_may(self, locked: WatsonServer) -> None:
        headers = {"Origin": "https://mine.example", "Authorization": basic("apikey", KEY)}
        assert locked.ask("GET", CLASSIFIERS, headers=headers).status == 200
        bearer = {**headers, "Authorization": f"Bearer {token(locked)['access_token']}"}
        unknown = "/v3/classifiers/x_123456789?version=2018-03-19"
        assert locked.ask("DELETE", unknown, headers=bearer).status == 404

    def test_a_key_that_the_browser_adds_changes_nothing(
        self, locked: WatsonServer, smiling_photo: Path
    ) -> None:
        remembered = {"Origin": "https://evil.example", "Authorization": basic("apikey", KEY)}
        for method, path in (
            ("POST", CLASSIFIERS),
            ("DELETE", "/v3/classifiers/x_123456789?version=2018-03-19"),
            ("DELETE", "/v3/user_data?version=2018-03-19&customer_id=x"),
            ("GET", f"{CLASSIFY}&url=http://127.0.0.1/"),
        ):
            assert locked.ask(method, path, headers=remembered).status == 403
        image = {**remembered, "Sec-Fetch-Site": "cross-site"}
        del image["Origin"]
        assert locked.ask("GET", f"{CLASSIFY}&url=http://x/", headers=image).status == 403

    @pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"},
                                         {"Sec-Fetch-Site": "cross-site"}])  # fmt: skip
    def test_no_token_for_a_foreign_page(
        self, open_server: WatsonServer, web: WatsonServer, headers: dict[str, str]
    ) -> None:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for server in (open_server, web):
            reply = server.ask("POST", "/identity/token", b"apikey=x", form | headers)
            assert reply.status == 403

    def test_a_page_that_is_allowed(self, tmp_path: Path) -> None:
        with running("--allowed-origin", "https://mine.example", data_dir=tmp_path) as server:
            for origin, status in (("https://mine.example", 200), ("https://evil.example", 403)):
                assert server.ask("GET", CLASSIFIERS, headers={"Origin": origin}).status == status


class TestBesideThePage:
    """``shelly web``: page and API on one port."""

    def test_both_answer(self, web: WatsonServer, smiling_photo: Path) -> None:
        page = web.get("/")
        assert page.status == 200
        assert "<html" in page.body.decode()
        assert "Access-Control-Allow-Origin" not in page.headers
        assert web.get("/health").status == 200
        picture = part("images_file", smiling_photo.read_bytes(), "me.jpg")
        for base in ("", "/visual-recognition/api", "/instances/0a-1b"):
            reply = web.send(base + CLASSIFY, picture)
            assert list(reply.classes) == ["happiness"]
            assert reply.headers["Access-Control-Allow-Origin"] == "*"
        assert web.get(CLASSIFIERS).json == {"classifiers": []}
        assert web.get("/openapi.json").json["openapi"].startswith("3.")
        missing = web.get("/v4/collections")
        assert (missing.status, missing.json["code"]) == (404, 404)
        # A path that is nobody's is the page's.
        assert "Access-Control-Allow-Origin" not in web.get("/nothing").headers

    def test_a_classifier_of_ones_own(self, web: WatsonServer) -> None:
        parts = [part("name", "own"), part("smile_positive_examples", zipped(smiling())),
                 part("negative_examples", zipped(neutral()))]  # fmt: skip
        classifier_id = web.send(CLASSIFIERS, *parts).json["classifier_id"]
        assert web.settled(classifier_id)["status"] == "ready"

    def test_foreign_pages_and_names(self, web: WatsonServer) -> None:
        foreign = {"Origin": "https://evil.example"}
        assert web.ask("GET", CLASSIFIERS, headers=foreign).status == 403
        assert web.ask("POST", "/advice", b"{}", foreign).status == 403
        for path in ("/", CLASSIFIERS):
            assert web.get(path, Host="evil.example").status == 403

    def test_a_key_is_the_apis_and_not_the_pages(self, tmp_path: Path) -> None:
        with running(data_dir=tmp_path, kind="web", env={"SHELLY_APIKEY": KEY}) as server:
            assert server.get("/").status == 200
            assert server.get(CLASSIFIERS).status == 401
            assert server.get(CLASSIFIERS, Authorization=basic("apikey", KEY)).status == 200


class TestOtherAddresses:
    def test_refused_without_a_key(self, tmp_path: Path) -> None:
        done = subprocess.run(
            command("--host", "0.0.0.0", data_dir=tmp_path),
            cwd=ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 1
        assert "SHELLY_APIKEY" in done.stderr
        assert "--without-key" in done.stderr

    @pytest.mark.parametrize(
        ("options", "env"), [((), {"SHELLY_APIKEY": KEY}), (("--without-key",), {})]
    )
    def test_with_a_key_or_if_insisted_on(
        self, tmp_path: Path, options: tuple[str, ...], env: dict[str, str]
    ) -> None:
        with running("--host", "0.0.0.0", *options, data_dir=tmp_path, env=env) as server:
            server.authority = server.authority.replace("0.0.0.0", "127.0.0.1")
            headers = {"Host": "shelly.lan", "Authorization": basic("apikey", KEY)}
            assert server.ask("GET", CLASSIFIERS, headers=headers).status == 200


def test_the_key_is_nowhere_to_be_seen(tmp_path: Path, smiling_photo: Path) -> None:
    process = subprocess.Popen(
        [*command("--log-format", "json", data_dir=tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "SHELLY_APIKEY": "s3cret"},
    )  # fmt: skip
    assert process.stdout
    line = process.stdout.readline()
    server = WatsonServer(process, line.split(" at ")[1].split()[0].rstrip("/"))
    server.get(f"{CLASSIFIERS}&api_key=s3cret")
    picture = part("images_file", smiling_photo.read_bytes(), "private-name.jpg")
    server.send(CLASSIFY, picture, headers={"Authorization": basic("apikey", "s3cret")})
    process.terminate()
    output, log = process.communicate(timeout=60)
    paths = [json.loads(entry)["path"] for entry in log.splitlines()]
    assert paths == ["/v3/classifiers", "/v3/classify"]
    for secret in ("s3cret", basic("apikey", "s3cret"), "private-name", "happiness"):
        assert secret not in line + output + log
