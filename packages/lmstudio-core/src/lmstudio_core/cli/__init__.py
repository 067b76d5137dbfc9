"""The ``lmstudio`` command. Plugins add commands of their own by the hook ``register_commands``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line. Errors of this family end it with one message and exit code 1."""
    from .command import run

    run()
