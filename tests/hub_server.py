"""A small Hugging Face hub on loopback: models and datasets to load, uploads, faults by name."""

import base64
import json
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub_repos import LARGE_FILES, Repo, etag

FAULTS = ("silent", "stalled", "cut", "cut once", "altered", "401", "403", "404", "429", "500")
API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+?)/?(?:/(revision|tree|paths-info)/(.*))?$")
FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
NAMES_OF_CODES = {401: "RepoNotFound", 403: "GatedRepo", 404: "RepoNotFound"}


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    authorization: str
    content: bytes


@dataclass
class Hub:
    """The server's state, as a test sets it up and looks at it."""

    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)  # by "models", id
    faults: list[tuple[str, str]] = field(default_factory=list)  # name, part of a path
    altered: dict[str, bytes] = field(default_factory=dict)  # bodies by the end of their path
    asked: list[Asked] = field(default_factory=list)
    uploaded: dict[str, bytes] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)  # uploaded large files by sha256
    closing: Event = field(default_factory=Event)
    address: str = ""

    @contextmanager
    def fails(self, fault: str, where: str = "") -> Generator[None, None, None]:
        """Answer requests whose path holds ``where`` with a fault of FAULTS."""
        assert fault in FAULTS
        self.faults.append((fault, where))
        try:
            yield
        finally:
            self.faults.clear()

    def fault(self, path: str) -> str | None:
        return next((fault for fault, where in self.faults if where in path), None)

    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [asked.path for asked in self.asked]


@contextmanager
def running_hub(repos: Mapping[tuple[str, str], Repo] = {}) -> Generator[Hub, None, None]:
    """A hub for the time of the body; nobody listens at its address afterwards."""
    hub = Hub(repos=dict(repos))
    handler = type("HandlerOfThisHub", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        self._serve(self._read_only)

    def do_HEAD(self) -> None:
        self._serve(self._read_only)

    def do_POST(self) -> None:
        self._serve(self._posted)

    def do_PUT(self) -> None:
        self._serve(self._put)

    def _serve(self, answer: Callable[[str, bytes], None]) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        authorization = self.headers.get("Authorization", "")
        self.hub.asked.append(Asked(self.command, self.path, authorization, content))
        fault = self.hub.fault(self.path)
        if fault == "silent":
            self.hub.closing.wait()
        elif fault is not None and fault.isdecimal():
            self._refuse(int(fault))
        elif fault == "cut" and self.command in ("POST", "PUT"):
            self.close_connection = True
        else:
            answer(unquote(urlsplit(self.path).path), content)

    def _read_only(self, path: str, content: bytes) -> None:
        if path.startswith("/large/"):
            owner = path.removeprefix("/large/").partition("/")[2]
            self._file(owner, is_large=True)
        elif FILE.match(path):
            self._file(path, is_large=False)
        elif api := API.match(path):
            self._repo(*api.groups())
        else:
            self._json({}, 200 if path == "/" else 404)

    def _repo(self, kind: str, name: str, what: str | None, rest: str | None) -> None:
        repo = self.hub.repos.get((kind, name))
        if repo is None:
            self._refuse(401)
        elif what == "tree":
            assert rest is not None
            folder = rest.partition("/")[2]
            inside = [row for row in repo.rows() if row["path"].startswith(folder)]
            is_recursive = parse_qs(urlsplit(self.path).query).get("recursive") == ["true"]
            deepest = folder.count("/") + 1 if folder else 0
            near = [row for row in inside if is_recursive or row["path"].count("/") <= deepest]
            self._json([row for row in near if row["path"] != folder])
        else:
            siblings = [{"rfilename": path} for path in repo.files]
            self._json({"id": name, "sha": repo.commit, "siblings": siblings, "private": False})

    def _file(self, path: str, *, is_large: bool) -> None:
        """A file's head or body; a large one's stands elsewhere, where a redirect leads."""
        found = FILE.match(f"/{path.lstrip('/')}")
        assert found is not None
        prefix, name, _, filename = found.groups()
        repo = self.hub.repos.get(("datasets" if prefix else "models", name))
        content = None if repo is None else repo.files.get(filename)
        if repo is None or content is None:
            self._refuse(401 if repo is None else 404, is_entry=repo is not None)
            return
        headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{etag(filename, content)}"'}
        if filename.endswith(LARGE_FILES) and not is_large:
            headers |= {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(len(content))}
            place = f"{self.hub.address}/large/{etag(filename, content)}/{path.lstrip('/')}"
            self._answer(b"", 302, {**headers, "Location": place})
        else:
            self._body(content, headers)

    def _body(self, content: bytes, headers: Mapping[str, str]) -> None:
        fault = None if self.command == "HEAD" else self.hub.fault(self.path)
        if fault == "altered":
            given = (b for path, b in self.hub.altered.items() if self.path.endswith(path))
            content = next(given, bytes(byte ^ 1 for byte in content))
        start = 0
        if asked := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(asked[1])
            headers = {**headers, "Content-Range": f"bytes {start}-/{len(content)}"}
        is_short = fault in ("cut", "cut once", "stalled")
        ends = len(content) // 2 if is_short else len(content)
        length = len(content) - start
        self._answer(content[start:ends], 206 if start else 200, headers, length=length)
        if fault == "stalled":
            self.wfile.flush()
            self.hub.closing.wait()
        elif fault == "cut once":
            self.hub.faults.clear()

    def _posted(self, path: str, content: bytes) -> None:
        if path == "/api/repos/create":
            name = json.loads(content)["name"]
            self._json({"url": f"{self.hub.address}/me/{name}", "name": f"me/{name}"})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/paths-info/" in path and (api := API.match(path)):
            wanted = parse_qs(content.decode()).get("paths", [])
            rows = self.hub.repos[api[1], api[2]].rows()
            self._json([row for row in rows if row["path"] in wanted])
        elif "/preupload/" in path:
            files = [file["path"] for file in json.loads(content)["files"]]
            modes = {name: "lfs" if name.endswith(LARGE_FILES) else "regular" for name in files}
            rows = [{"path": n, "uploadMode": m, "shouldIgnore": False} for n, m in modes.items()]
            self._json({"files": rows})
        elif path.endswith(".git/info/lfs/objects/batch"):
            files = json.loads(content)["objects"]
            places = [f"{self.hub.address}/store/{file['oid']}" for file in files]
            uploads = [{"upload": {"href": place}} for place in places]
            rows = [{**f, "actions": made} for f, made in zip(files, uploads, strict=True)]
            self._json({"transfer": "basic", "objects": rows})
        elif "/commit/" in path:
            self._commit([json.loads(line) for line in content.splitlines()])
        else:
            self._refuse(404)

    def _commit(self, rows: list[dict[str, Any]]) -> None:
        for value in (row["value"] for row in rows if row["key"] != "header"):
            is_small = "content" in value
            content = base64.b64decode(value["content"]) if is_small else None
            self.hub.uploaded[value["path"]] = content or self.hub.stored[value["oid"]]
        url = f"{self.hub.address}/me/mine/commit/{'0' * 40}"
        self._json({"commitUrl": url, "commitOid": "0" * 40, "success": True})

    def _put(self, path: str, content: bytes) -> None:
        self.hub.stored[path.rpartition("/")[2]] = content
        self._json({})

    def _refuse(self, status: int, *, is_entry: bool = False) -> None:
        is_entry = is_entry or (status == 404 and "/resolve/" in self.path)
        code = "EntryNotFound" if is_entry else NAMES_OF_CODES.get(status, "")
        self._json({"error": "no"}, status, {"X-Error-Code": code} if code else {})

    def _json(self, value: Any, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        kind = {"Content-Type": "application/json"}
        self._answer(json.dumps(value).encode(), status, {**kind, **headers})

    def _answer(
        self, content: bytes, status: int, headers: Mapping[str, str], length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""
