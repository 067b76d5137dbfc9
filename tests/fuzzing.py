"""Trying inputs for a few seconds, or for an hour with ``LMSTUDIO_TEST_DEEP=1``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

DEEP = os.environ.get("LMSTUDIO_TEST_DEEP", "") not in ("", "0")
SECONDS = 3600.0 if DEEP else 0.0
EXAMPLES = 200


def fuzz(
    check: Callable[[Any], object], inputs: st.SearchStrategy[Any], examples: int = EXAMPLES
) -> int:
    """Try inputs until the time is over, at least one round; how many it were.

    Hypothesis keeps what failed, and shrinks it.
    """
    count = 0

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    )
    @given(inputs)
    def one_round(given_input: Any) -> None:
        nonlocal count
        count += 1
        check(given_input)

    end = time.monotonic() + SECONDS
    one_round()
    while time.monotonic() < end:
        one_round()
    return count
