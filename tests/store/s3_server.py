"""A real S3 server (moto's) on loopback, and a road to it on which things go wrong by name."""

import http.client
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

import pytest

from tests.conftest import CHECKOUT

BUCKET = "studies"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIACANARYCANARY1234", "AWS_SECRET_ACCESS_KEY": "c4nary5ecret" * 3}
HOPS = {"connection", "transfer-encoding", "content-length", "keep-alive"}
CONDITIONS = {"if-match", "if-none-match"}
REFUSED = b"<Error><Code>AccessDenied</Code><AWSAccessKeyId>AKIACANARYCANARY1234</AWSAccessKeyId>"
START_SECONDS = 60


@dataclass(frozen=True)
class Asked:
    """A request as it came: ``PUT`` and ``/bucket/name``."""

    method: str
    path: str


Rule = Callable[[Asked], str | int | None]


@dataclass
class Road:
    """What stands between the store and who asks it.

    A rule says by a request what becomes of it: ``None`` to pass it on, ``refused`` before the
    server sees it, ``lost`` for an answer that is refused although the server did what was asked,
    ``cut`` for a line that breaks, ``silent`` for one on which nothing comes, ``unconditional`` for
    a server that knows no conditions, a number for one whose clock is that many seconds ahead.
    """

    server: int
    address: str = ""
    rule: Rule = lambda asked: None
    asked: list[Asked] = field(default_factory=list)
    lock: Any = field(default_factory=Lock)
    closing: Event = field(default_factory=Event)

    def environment(self) -> dict[str, str]:
        """What a command needs to find it."""
        found = {"AWS_ENDPOINT_URL": self.address, "AWS_ALLOW_HTTP": "true"}
        return {**KEYS, **found, "AWS_REGION": "us-east-1"}

    def writes(self, part: str = "") -> list[str]:
        """Names that were put, lists of parts and leases left out."""
        return [a.path for a in self.asked if a.method == "PUT" and part in a.path]

    def straight(self, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
        """Ask the server itself."""
        line = http.client.HTTPConnection("127.0.0.1", self.server, timeout=30)
        line.request(method, path, body, headers)
        answer = line.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())

    @contextmanager
    def ruled(self, rule: Rule) -> Generator[None, None, None]:
        """A rule for the time of the body."""
        before, self.rule = self.rule, rule
        try:
            yield
        finally:
            self.rule = before


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    road: Road

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def _pass(self) -> None:
        body = self._body()
        asked = Asked(self.command, self.path.partition("?")[0])
        with self.road.lock:
            self.road.asked.append(asked)
            fate = self.road.rule(asked)
        if fate in ("cut", "silent"):
            if fate == "silent":
                self.road.closing.wait()
            self.close_connection = True
            return
        headers = {n: v for n, v in self.headers.items() if n.lower() not in HOPS}
        if fate == "unconditional":
            headers = {n: v for n, v in headers.items() if n.lower() not in CONDITIONS}
        status, said, back = 403, REFUSED, {}
        if fate != "refused":
            answer = self.road.straight(self.command, self.path, body, **headers)
            if fate != "lost":
                status, said, back = answer
        self.send_response(status)
        for name, value in back.items():
            if isinstance(fate, int) and name.lower() == "last-modified":
                value = formatdate(parsedate_to_datetime(value).timestamp() + fate, usegmt=True)
            if name.lower() not in HOPS:
                self.send_header(name, value)
        size = back.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", size or str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass


class _Front(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients are killed here."""


@contextmanager
def running_s3() -> Generator[Road, None, None]:
    """Server and road for the time of the body, with an empty bucket."""
    program = CHECKOUT / "build" / "moto" / "bin" / "moto_server"
    found = str(program) if program.exists() else shutil.which("moto_server")
    if found is None:
        pytest.skip("no S3 server: make setup installs moto's in build/moto")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(
        [found, "-H", "127.0.0.1", "-p", str(port)], stdout=quiet, stderr=quiet
    )
    road = Road(port)
    handler = type("Handler", (_Handler,), {"road": road})
    front = _Front(("127.0.0.1", 0), handler)
    road.address = f"http://127.0.0.1:{front.server_address[1]}"
    try:
        _await(port, server)
        assert road.straight("PUT", f"/{BUCKET}")[0] == 200
        Thread(target=front.serve_forever, daemon=True).start()
        yield road
        front.shutdown()
    finally:
        road.closing.set()
        front.server_close()
        server.kill()
        server.wait(timeout=30)


def _await(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the S3 server does not start")
