"""Bounded waits. A deadline here only ends a test that would hang; it is never what a test measures."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

# Sanitised builds are slower: tests/CMakeLists.txt says by how much.
PATIENCE = float(os.environ.get("THALWEG_PATIENCE", "1"))
STEP = 0.01


def until(holds: Callable[[], object], what: str, deadline: float = 10.0):
    """Asks until `holds()` is true; its value. For what other processes do: they send no events."""
    ends = time.monotonic() + deadline * PATIENCE
    pause = threading.Event()
    while not (value := holds()):
        if time.monotonic() > ends:
            raise AssertionError(f"waited {deadline * PATIENCE:.0f} s in vain: {what}")
        pause.wait(STEP)
    return value
