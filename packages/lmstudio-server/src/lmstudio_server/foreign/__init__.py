"""Work on what others send (documents, templates), in processes that can be limited and killed."""

from __future__ import annotations
