"""``python -m lmstudio.plugin``: runs a plugin, or registers and runs it with ``--dev``."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from lmstudio_core.errors import LMStudioError
from lmstudio_core.lenient import error_text
from lmstudio_core.program.terminal import visible

from . import _dev_runner, runner

__all__ = ["main"]


def _parse_args(
    argv: Sequence[str] | None = None,
) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(
        prog="python -m lmstudio.plugin",
        description="Runs an LM Studio plugin written in Python.",
    )
    parser.add_argument("plugin_path", metavar="PLUGIN_PATH", help="the plugin's folder")
    parser.add_argument("--dev", action="store_true", help="register it, and run it until Ctrl-C")
    parser.add_argument("--debug", action="store_true", help="log what happens, in detail")
    return parser, parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code: 0 after Ctrl-C, 1 if the plugin cannot start or crashed.

    Args:
        argv: The arguments; by default those of the process.
    """
    parser, args = _parse_args(argv)
    folder = Path(args.plugin_path)
    if not folder.is_dir():
        parser.print_usage(sys.stderr)
        _say(f"There is no plugin folder {str(folder)!r}.")
        return 1
    logging.basicConfig(level=logging.DEBUG if args.debug else logging.INFO)
    if not args.debug:  # each call of a plugin is of interest, each frame is not
        logging.getLogger("websockets").setLevel(logging.WARNING)
    try:
        if args.dev:
            return 1 if _dev_runner.run_plugin(folder, debug=args.debug) else 0
        runner.run_plugin(folder, allow_local_imports=True)
    except KeyboardInterrupt:
        _say("The plugin was ended by Ctrl-C.")
        return 0
    except LMStudioError as error:
        _say(error_text(error))
        return 1
    except Exception:  # noqa: BLE001 - the plugin's own code: its author sees where
        traceback.print_exc()
        return 1
    return 0


def _say(text: str) -> None:
    sys.stderr.write(visible(text) + "\n")
