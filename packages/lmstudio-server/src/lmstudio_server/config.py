"""How one server is to run."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DEFAULT_PORT", "ServerConfig", "is_loopback", "jit_models", "new_secret"]

DEFAULT_PORT = 1234
JIT_MODELS_VARIABLE = "LMSTUDIO_SERVER_JIT_MODELS"


def new_secret() -> str:
    """A random text that nobody can guess."""
    return secrets.token_urlsafe(18)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    bare = host.strip("[]").lower()
    if bare == "localhost":
        return True
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False


def jit_models() -> int | None:
    """The number in ``LMSTUDIO_SERVER_JIT_MODELS``, if it is one."""
    text = os.environ.get(JIT_MODELS_VARIABLE, "").strip()
    return int(text) if text.isdigit() and int(text) > 0 else None


@dataclass(frozen=True)
class ServerConfig:
    """The settings of a server. The secrets stay out of its ``repr``."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 lets the system choose a free one."""
    api_tokens: tuple[str, ...] = field(default=(), repr=False)
    model_folders: tuple[Path, ...] | None = None
    """``None``: LM Studio's model folder and the server's own."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of web pages that may connect, besides those served from this machine; ``"*"``: all."""
    idle_timeout: float | None = None
    """Seconds without a client after which the server ends; ``None``: never."""
    jit_ttl: float | None = 3600.0
    """Seconds without use after which a model that an HTTP request loaded is unloaded."""
    jit_models: int | None = field(default_factory=jit_models)
    """How many models may be loaded on demand at a time; ``None``: as many as fit in memory."""
    shutdown_grace: float = 10.0
    """Seconds that predictions may go on when the server ends."""
    is_daemon: bool = False
    instance_id: str = field(default_factory=new_secret)
    control_key: str = field(default_factory=new_secret, repr=False)
