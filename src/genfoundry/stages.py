"""How a stage meets the command line: a mistake of the user's is a line, not a traceback."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable


def stage(work: Callable[..., None], *arguments: str) -> None:
    """Run `work`; exit 1 with the message where it raises one that is meant for the user.

    What asks it to end, a container's stop or whoever started it, is an interruption like that of a terminal.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        work(*arguments)
    except KeyboardInterrupt:
        sys.exit("interrupted; run the same command to go on from the last checkpoint")
    except (ValueError, RuntimeError, OSError) as error:
        if not type(error).__module__.startswith("genfoundry"):
            raise
        sys.exit(f"\n{error}")
