"""What can go wrong with the hub, as clients are told."""

from __future__ import annotations

from lmstudio_server.errors import WireError

__all__ = [
    "HubError",
    "NotOnHubError",
    "busy",
    "cannot_write",
    "damaged",
    "disk_full",
    "no_such_offer",
    "not_installed",
    "not_the_file",
    "size_text",
    "too_long",
    "unreachable",
]


class HubError(WireError):
    """The hub did not give what was asked for, or it could not be kept."""


class NotOnHubError(HubError):
    """There is no repository of that name, as far as this server may see."""


def size_text(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def not_installed(error: ImportError) -> HubError:
    """The extra was not installed."""
    return HubError(
        "This server cannot search for models or download them.",
        cause=f"Its Python has no {error.name or 'huggingface_hub'}.",
        suggestion='Install it where the server runs: pip install "huggingface-hub>=2" "httpx2>=2".',
    )


def unreachable(endpoint: str, words: str, *, kept: str | None = None) -> HubError:
    """Nobody answers at the hub's address, or the connection broke.

    Args:
        endpoint: The hub's address.
        words: What the system says.
        kept: What a later download goes on from, in words; ``None`` if there is nothing.
    """
    suggestion = (
        "Check the server machine's network, its proxy settings, and HF_ENDPOINT if it is set."
    )
    if kept is not None:
        suggestion = f"Ask again to go on from {kept}. {suggestion}"
    return HubError(
        f"{endpoint} cannot be reached.",
        cause=words or "The connection was lost.",
        suggestion=suggestion,
    )


def busy(endpoint: str, words: str, seconds: float, kept: str) -> HubError:
    """The hub asks to be left alone for a while.

    Args:
        endpoint: The hub's address.
        words: What it said.
        seconds: For how long.
        kept: What has arrived and stays, in words.
    """
    return HubError(
        f"{endpoint} is asked too much at the moment.",
        cause=words,
        suggestion=f"Ask again in {seconds:.0f} seconds to go on from {kept}.",
    )


def damaged(name: str, expected: str, actual: str) -> HubError:
    """What arrived is not what the hub says it has.

    Args:
        name: The file.
        expected: The digest that the hub tells.
        actual: That of what arrived.
    """
    return HubError(
        f"The download of {name} is damaged and was removed.",
        cause=f"Its checksum is {actual}, and the hub's is {expected}.",
        suggestion="Ask again to download it anew. If that fails too, a proxy or mirror on the "
        "way delivers wrong data.",
    )


def too_long(name: str, size_bytes: int) -> HubError:
    """More arrives than the hub said."""
    return HubError(
        f"The download of {name} is longer than it should be.",
        cause=f"The hub said {size_bytes} bytes.",
        suggestion="Ask for the download options again. If that fails too, a proxy or mirror on the "
        "way delivers wrong data.",
    )


def not_the_file(name: str, cause: str) -> HubError:
    """What answers is not the hub's file."""
    return HubError(
        f"What arrives in place of {name} is another thing, and nothing of it was kept.",
        cause=cause,
        suggestion="A proxy, a mirror or a login page answers where the server runs: sign in there, "
        "or check its proxy settings and HF_ENDPOINT. Then ask again; what had arrived is kept.",
    )


def disk_full(name: str, folder: str, needed: int, free: int) -> HubError:
    """There is no room.

    Args:
        name: The file.
        folder: Where it was to go.
        needed: Bytes that it takes.
        free: Bytes that there are.
    """
    return HubError(
        f"There is no room for {name}.",
        cause=f"{size_text(needed)} are needed in {folder}, and {size_text(free)} are free.",
        suggestion="Free some space, or choose a smaller quantization. What was downloaded is kept.",
    )


def cannot_write(path: str, error: OSError) -> HubError:
    """The models folder cannot be used."""
    return HubError(
        f"{path} cannot be written.",
        cause=str(error.strerror or error),
        suggestion="Start the server with --models and a folder that it may write to.",
    )


def no_such_offer(identifier: str, known: list[str]) -> HubError:
    """A download was asked for that the repository does not have."""
    listed = ", ".join(known) or "no GGUF model"
    return HubError(
        f'There is no download "{identifier}".',
        cause=f"The repository has: {listed}.",
        suggestion="Ask for the download options again and choose one of them.",
    )
