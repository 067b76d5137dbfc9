"""How one server is to run."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["DEFAULT_PORT", "ServerConfig", "is_loopback", "is_own_name", "jit_models", "new_secret"]

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


def is_own_name(name: str) -> bool:
    """Whether a host name is this machine's, as far as it knows, or an address, which nobody can make
    point elsewhere.
    """
    bare = name.lower().removesuffix(".")
    own = socket.gethostname().lower()
    short = own.partition(".")[0]
    if bare in (own, short, f"{short}.local"):
        return bool(bare)
    try:
        ip_address(bare.partition("%")[0])
    except ValueError:
        return False
    return True


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
    allowed_hosts: tuple[str, ...] = ()
    """Names under which clients may ask, besides those of this machine; ``"*"``: all."""
    trust_local: bool = True
    """Whether clients on this machine may do more than others; not behind a proxy on it."""
    insecure: bool = False
    """Whether other machines may be let in without a token."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    """``None``: it is in the file of the certificate."""
    idle_timeout: float | None = None
    """Seconds without a client after which the server ends; ``None``: never."""
    jit_ttl: float | None = 3600.0
    """Seconds without use after which a model that an HTTP request loaded is unloaded."""
    jit_models: int | None = field(default_factory=jit_models)
    """How many models may be loaded on demand at a time; ``None``: as many as fit in memory."""
    plugins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Any])
    """Settings of plugins for all chats: ``owner/name`` → key → value."""
    shutdown_grace: float = 10.0
    """Seconds that predictions may go on when the server ends."""
    is_daemon: bool = False
    instance_id: str = field(default_factory=new_secret)
    control_key: str = field(default_factory=new_secret, repr=False)
