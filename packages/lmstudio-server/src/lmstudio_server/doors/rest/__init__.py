"""LM Studio's own HTTP API, version 1 (``/api/v1``)."""

from __future__ import annotations
