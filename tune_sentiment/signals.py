"""How the command ends when it is asked to.

What is known is in the ledger at any moment, so an end needs no ceremony: the first Ctrl-C or
SIGTERM leaves in order, which takes Ray a few seconds, and without it should Ray hang; the second
is the kernel's to answer, at once. Either way the kernel ends what Ray started.
"""

import os
import signal
import sys
from threading import Timer
from typing import NoReturn

LONGEST_END = 15.0  # seconds
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
        signal.signal(each, signal.SIG_DFL)  # a handler would wait for Ray's C++ to return
    if sys.stderr.isatty():
        sys.stderr.write(SHOW_CURSOR)
    watchdog = Timer(LONGEST_END, os._exit, [exit_code()])
    watchdog.daemon = True
    watchdog.start()
    raise KeyboardInterrupt
