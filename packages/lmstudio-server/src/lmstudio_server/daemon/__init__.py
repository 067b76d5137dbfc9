"""Servers as processes: where they write down that they run, how they start and end.

Clients import parts of this package. They load nothing but small pieces of the standard library.
"""

from __future__ import annotations
