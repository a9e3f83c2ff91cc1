"""The clock of turns and steps; tests replace it by the processor's time, which a busy machine does not disturb."""

import time

read = time.perf_counter
"""Seconds from an arbitrary start."""
