"""Repositories as the hub of the tests shows them: files, their hashes, and one commit."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LARGE_FILES = (".safetensors", ".parquet", ".bin")  # kept apart from git, under their sha256


@dataclass
class Repo:
    """A repository's files at its only commit."""

    files: Mapping[str, bytes]

    @property
    def commit(self) -> str:
        named = {name: hashlib.sha1(content).hexdigest() for name, content in self.files.items()}
        return hashlib.sha1(json.dumps(named).encode()).hexdigest()

    def rows(self) -> list[dict[str, Any]]:
        """What the hub tells of each file and folder."""
        folders = {name.rpartition("/")[0] for name in self.files if "/" in name}
        rows: list[dict[str, Any]] = [
            {"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in folders
        ]
        for path, content in self.files.items():
            row = {"type": "file", "path": path, "size": len(content), "oid": git_hash(content)}
            if path.endswith(LARGE_FILES):
                size = len(content)
                row["lfs"] = {"oid": etag(path, content), "size": size, "pointerSize": 130}
            rows.append(row)
        return rows


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def etag(path: str, content: bytes) -> str:
    """The hash that the hub announces for a file."""
    if path.endswith(LARGE_FILES):
        return hashlib.sha256(content).hexdigest()
    return git_hash(content)
