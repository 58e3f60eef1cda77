"""How long the hub is waited for.

Its library waits for some answers without end, and repeats others for minutes. Here every answer
has a limit, and what is not answered is not asked again for long. Both libraries then take the hub
for switched off, and use what is cached.
"""

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging import CRITICAL, getLogger
from time import monotonic
from typing import Any

PROBE_SECONDS = 5.0
REPEAT_SECONDS = 5.0  # a request that failed is repeated for so long
UPLOAD_FACTOR = 6  # a commit is answered when the hub has looked at all its files


@dataclass
class Patience:
    """Follows the requests of this process, and ends those that lead nowhere.

    Args:
        ended: Why nothing more is asked; ``None`` while the hub answers.
        open: When each request without a good or whole answer was made first, and its last status.
    """

    ended: str | None = None
    open: dict[tuple[str, str, str], tuple[float, int | None]] = field(default_factory=dict)

    def asking(self, request: Any, limit_seconds: float) -> None:
        """Limit the wait for a request that is about to be sent.

        Raises:
            OfflineModeIsEnabled: If it was made before and got no answer for too long.
        """
        given = request.extensions.get("timeout") or {}
        kinds = ("connect", "read", "write", "pool")
        limits = {kind: min(given.get(kind) or limit_seconds, limit_seconds) for kind in kinds}
        request.extensions["timeout"] = limits
        now = monotonic()
        first, status = self.open.setdefault(_key(request), (now, None))
        if now - first >= REPEAT_SECONDS:
            self._end(_reason(status))
        if any(self._is_silence(key, limit_seconds) for key in list(self.open)):
            self._end(_reason(None))

    def answered(self, response: Any) -> None:
        """Note how a request was answered; of a file the answer only begins.

        Raises:
            OfflineModeIsEnabled: If the hub wants to be left alone for some minutes.
        """
        key, status = _key(response.request), response.status_code
        if status == 429:
            self._end("takes no more requests for some minutes (429)")
        if status >= 500 or _is_file(response):
            first, _ = self.open.get(key, (monotonic(), None))
            self.open[key] = first, status
        else:
            self.open.pop(key, None)

    def _is_silence(self, key: tuple[str, str, str], limit_seconds: float) -> bool:
        """Whether a request to the hub itself was given up without an answer."""
        from huggingface_hub import constants

        first, status = self.open.get(key, (monotonic(), None))
        is_over = status is None and monotonic() - first >= limit_seconds
        return is_over and key[1].startswith(constants.ENDPOINT)

    def _end(self, reason: str) -> None:
        from huggingface_hub.errors import OfflineModeIsEnabled

        self.ended = reason
        raise OfflineModeIsEnabled(f"the hub {reason}")


def _reason(status: int | None) -> str:
    if status is None:
        return "does not answer"
    return f"answers with errors ({status})" if status >= 500 else "stops in the middle of a file"


def _is_file(response: Any) -> bool:
    """Whether the answer's body is a file, which may break off or stop coming."""
    kind = response.headers.get("Content-Type", "")
    is_asked_for = response.request.method == "GET" and "json" not in kind
    return is_asked_for and response.status_code < 300


def _key(request: Any) -> tuple[str, str, str]:
    return request.method, str(request.url), request.headers.get("Range", "")


@contextmanager
def limited(patience: Patience, factor: float = 1.0) -> Generator[None, None, None]:
    """Put limits on what the hub's library asks in the body, and let it write nothing.

    Args:
        patience: What is known of the hub's answers.
        factor: How many of the library's own limits (``HF_HUB_DOWNLOAD_TIMEOUT``) an answer may
            take.
    """
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils._http import default_client_factory
    from huggingface_hub.utils.tqdm import disable_progress_bars

    limit = factor * max(constants.HF_HUB_DOWNLOAD_TIMEOUT, constants.HF_HUB_ETAG_TIMEOUT)

    def client() -> Any:
        made = default_client_factory()
        hooks = made.event_hooks
        asking = [*hooks["request"], lambda request: patience.asking(request, limit)]
        made.event_hooks = {"request": asking, "response": [*hooks["response"], patience.answered]}
        return made

    getLogger("huggingface_hub").setLevel(CRITICAL)  # errors are said in one line elsewhere
    if not sys.stderr.isatty():
        disable_progress_bars()
    patience.open.clear()
    set_client_factory(client)
    try:
        yield
    finally:
        set_client_factory(default_client_factory)


def probe() -> str | None:
    """Why the hub cannot be reached; ``None`` if it answers, whatever it says."""
    from huggingface_hub import constants, get_session

    def ask() -> None:
        get_session().head(constants.ENDPOINT, timeout=PROBE_SECONDS, follow_redirects=False)

    return _failure(ask, PROBE_SECONDS + 1)  # the library's own limit leaves out names


def _failure(action: Callable[[], None], seconds: float) -> str | None:
    """What an action raises, or that it takes longer; nobody waits for its end then."""
    failures: list[str] = []

    def run() -> None:
        try:
            action()
        except Exception as error:  # of many libraries: proxies, certificates, names
            failures.append(str(error) or type(error).__name__)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return "timed out" if thread.is_alive() else next(iter(failures), None)
