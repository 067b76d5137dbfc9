"""The namespaces of LM Studio's API, one file each, and what they share."""

from __future__ import annotations
