"""The ``diagnostics`` namespace: every endpoint says that it is not offered."""

from __future__ import annotations

from .endpoint import Namespace

__all__ = ["namespace"]

namespace = Namespace("diagnostics")
namespace.decline("channel", "streamLogs")
