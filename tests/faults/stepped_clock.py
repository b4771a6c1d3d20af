"""``rapport`` on a machine whose clock is ahead by as many seconds as the file ``clock-ahead`` says.

The clock is read anew every time, so that it can be stepped under a running process. What else the machine
has, its monotonic clock first of all, is as it is.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

AHEAD = Path("clock-ahead")


def main() -> int:
    """Put the clock in place, then be the server: whatever it imports takes the clock as it finds it."""
    true_time, true_time_ns = time.time, time.time_ns
    time.time = lambda: true_time() + int(AHEAD.read_text())
    time.time_ns = lambda: true_time_ns() + int(AHEAD.read_text()) * 1_000_000_000

    from signaling import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
