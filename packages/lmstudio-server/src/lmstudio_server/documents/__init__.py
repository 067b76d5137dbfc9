"""Documents: what a file says as text, its passages, and those that fit a query."""

from __future__ import annotations
