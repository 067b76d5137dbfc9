"""The status page at ``/``."""

from __future__ import annotations
