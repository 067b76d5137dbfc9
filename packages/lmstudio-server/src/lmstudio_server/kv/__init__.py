"""LM Studio's key-value configuration, and what it means for an engine. Pure functions."""

from __future__ import annotations
