"""How the command ends when it is asked to.

What is known is in the ledger at any moment, so an end needs no ceremony: the first Ctrl-C or
SIGTERM leaves in order, which takes Ray a few seconds; the second leaves at once, and the kernel
ends what Ray started.
"""

import os
import signal
import sys
from typing import NoReturn

SHOW_CURSOR = "\x1b[?25h"  # a live table hides it
_received: list[int] = []


def listen() -> None:
    """Answer Ctrl-C and SIGTERM, unless whoever started the command had Ctrl-C ignored."""
    signal.signal(signal.SIGTERM, _leave)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _leave)


def exit_code() -> int:
    """What the shell is told of the signal that ended the command: 130 or 143."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def _leave(number: int, frame: object) -> NoReturn:
    _received.append(number)  # Ray raises a KeyboardInterrupt of its own, whatever the signal was
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _leave_at_once)
    raise KeyboardInterrupt


def _leave_at_once(number: int, frame: object) -> NoReturn:
    if sys.stderr.isatty():
        sys.stderr.write(SHOW_CURSOR)
        sys.stderr.flush()
    os._exit(128 + number)
