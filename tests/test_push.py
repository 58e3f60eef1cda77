"""Uploading a winner, against a hub on this machine that speaks what the library asks for."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.test_predict import made_winner
from tune_sentiment.backbone import Backbone
from tune_sentiment.tokens import Tokens

TOKEN = "hf_thetokenofthistest"


class Hub(ThreadingHTTPServer):
    """Takes repositories and commits; notes what it was asked."""

    def __init__(self, refuses: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.refuses = refuses
        self.asked: list[tuple[str, str, Any]] = []
        self.files: dict[str, bytes] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        authorization = self.headers.get("Authorization", "")
        self.server.asked.append((self.path, authorization, content))
        if self.server.refuses:
            self._answer({"error": "no"}, self.server.refuses)
        elif self.path == "/api/repos/create":
            name = json.loads(content)["name"]
            self._answer({"url": f"{self.server.address}/me/{name}", "name": f"me/{name}"})
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(content)["files"]
            ]
            self._answer({"files": files})
        elif "/commit/" in self.path:
            for line in content.splitlines():
                row = json.loads(line)
                if row["key"] == "file":
                    value = row["value"]
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
            url = f"{self.server.address}/me/mine/commit/{'0' * 40}"
            self._answer({"commitUrl": url, "commitOid": "0" * 40, "success": True})
        else:
            self._answer({"error": f"unknown {self.path}"}, 404)

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization", ""), b""))
        status = self.server.refuses or 200
        self._answer({"siblings": [], "sha": "0" * 40, "id": "me/mine"}, status)

    def _answer(self, value: Any, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def push(study: Path, address: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command with a token, in an environment that may use the network."""
    known = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    command = [sys.executable, "-m", "tune_sentiment.predict", str(study), "--push", *words]
    return subprocess.run(
        command,
        env={**known, "HF_ENDPOINT": address, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny: Backbone, eight: Tokens) -> Path:
    folder = tmp_path_factory.mktemp("study")
    made_winner("lora", tiny, eight, folder)
    return folder


def test_every_file_of_a_winner_arrives_as_it_is(study: Path, hub: Hub) -> None:
    done = push(study, hub.address, "mine")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.address}/me/mine"
    here = {path.name: path.read_bytes() for path in (study / "winner").iterdir()}
    assert "model.safetensors" in here
    assert hub.files == here
    asked = {path.partition("?")[0]: (token, content) for path, token, content in hub.asked}
    token, content = asked["/api/repos/create"]
    assert token == f"Bearer {TOKEN}"
    assert json.loads(content)["visibility"] == "private"


def test_a_public_repository_is_asked_for_by_name(study: Path, hub: Hub) -> None:
    assert push(study, hub.address, "mine", "--public").returncode == 0
    made = next(json.loads(c) for path, _, c in hub.asked if path == "/api/repos/create")
    assert made["visibility"] == "public"


@pytest.mark.parametrize(
    ("status", "reason"), [(401, "hf auth login"), (403, "hf auth login"), (500, "refuses (500)")]
)
def test_a_refusal_is_one_line_without_the_token(
    status: int, reason: str, study: Path, hub: Hub
) -> None:
    hub.refuses = status
    done = push(study, hub.address, "mine")
    assert done.returncode == 3
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert TOKEN not in done.stdout + done.stderr


def test_a_hub_that_is_not_there_is_said(study: Path) -> None:
    done = push(study, "http://127.0.0.1:9", "mine")
    assert done.returncode == 3
    assert "http://127.0.0.1:9 did not take the winner" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_name_is_refused_before_anything_is_asked(study: Path, hub: Hub) -> None:
    done = push(study, hub.address, "not/a/name")
    assert done.returncode == 2
    assert "--push wants NAME or OWNER/NAME, got 'not/a/name'" in done.stderr
    assert not hub.asked
