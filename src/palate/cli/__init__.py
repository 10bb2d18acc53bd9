"""The command line: parse, call one function of the library, print."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

__all__ = ["main"]


def main(tokens: list[str] | None = None) -> None:
    """The `palate` command. Exit code 0: done. 1: the work fell short. 2: the call was wrong."""
    interrupted = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        # Here, so that Ctrl-C is answered from the first moment: the imports take a while.
        from palate.cli.app import main as run

        run(tokens)
    except KeyboardInterrupt:
        _stop()
    except Exception:
        if not interrupted:
            raise
        _stop()  # a library that is interrupted while it is imported may fail in any way
    finally:
        if ours and signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop() -> None:
    sys.stderr.write("stopped\n")
    sys.exit(130)
