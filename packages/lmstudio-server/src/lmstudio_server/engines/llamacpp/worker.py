"""What a worker process runs: one model, served over llama.cpp's HTTP API.

Started by file name, not with ``-m``: a package import would pull the server's own code into every
worker. It reads one line of JSON options from stdin, reports on stdout in lines that begin with
``REPORT_PREFIX``, and ends when stdin closes, so no worker outlives a server that was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

REPORT_PREFIX = "lmstudio-worker:"
"""Begins each line of stdout that is meant for the supervisor."""

PROGRESS_VARIABLE = "LLAMA_SERVER_ROUTER_PORT"
"""Makes llama.cpp print its load progress. Internal to llama.cpp: without it only progress is lost."""

OPENMP_LIBRARY = "libgomp.so.1"

POOLING_MEAN = 1

LOG_SECONDS = 0.1


def keep_stdout() -> int:
    """Return a file descriptor of today's stdout: llama.cpp points the original at stderr."""
    return os.dup(1)


def report(stdout: int, event: str, **details: Any) -> None:
    """Tell the supervisor something, as one line on ``stdout``."""
    line = REPORT_PREFIX + json.dumps({"event": event, **details}) + "\n"
    os.write(stdout, line.encode())


def read_options() -> dict[str, Any]:
    """Read one line from stdin and no byte more: what comes after only says that the server lives."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            raise SystemExit(0)
        line += byte
    options: dict[str, Any] = json.loads(line)
    return options


def take_stdin() -> int:
    """Return a file descriptor of today's stdin, and give llama.cpp one that never ends.

    It would end the process when stdin closes, before the socket's folder is removed.
    """
    own = os.dup(0)
    silent, _kept_open = os.pipe()
    os.dup2(silent, 0)
    return own


def end_with_stdin(stdin: int, socket_path: str | None) -> NoReturn:
    """Wait until stdin closes, remove the socket and its folder, and end the process at once."""
    with suppress(OSError):
        while os.read(stdin, 4096):
            pass
    if socket_path is not None:
        with suppress(OSError):
            os.unlink(socket_path)  # noqa: PTH108 - pathlib costs start-up time
        with suppress(OSError):
            os.rmdir(socket_path.rpartition(os.sep)[0])  # noqa: PTH106 - as above
    os._exit(0)


def set_limits(params: Any, options: dict[str, Any]) -> None:
    """Set the sizes: context, batches, threads, memory."""
    params.n_ctx = options["context_length"]
    params.n_parallel = options["parallel"]
    params.kv_unified = options["unified_cache"]
    params.n_batch = options["batch_size"]
    params.n_ubatch = options["physical_batch_size"]
    params.cpuparams.n_threads = options["threads"]
    params.cpuparams_batch.n_threads = options["threads"]
    params.n_threads_http = options["http_threads"]
    params.cache_ram_mib = options["cache_ram_mib"]
    # llama.cpp would otherwise shrink the context silently to what it believes fits.
    params.fit_params = False
    if options["gpu_layers"] is not None:
        params.n_gpu_layers = options["gpu_layers"]
    if options["context_checkpoints"] is not None:
        params.n_ctx_checkpoints = options["context_checkpoints"]


def set_exposure(params: Any, options: dict[str, Any]) -> None:
    """Close what llama.cpp opens by default: its port, its page, its model downloads."""
    params.hostnames = [options["host"]]
    params.port = options["port"]
    params.api_keys = options["api_keys"]
    params.cors_origins = ""
    params.ui = False
    params.offline = True
    params.endpoint_slots = False
    params.verbosity = 1


def set_model(params: Any, options: dict[str, Any], library: Any) -> None:
    """Set the model's file and how to read and run it.

    Args:
        params: The library's parameters, which are changed.
        options: What the parent process asked for.
        library: The ``xllamacpp`` module.
    """
    params.model.path = options["model"]
    if options["mmproj"] is not None:
        params.mmproj.path = options["mmproj"]
    modes = library.llama_load_mode
    params.load_mode = getattr(modes, "LLAMA_LOAD_MODE_" + options["load_mode"])
    if options["flash_attention"]:
        params.flash_attn_type = library.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.ctx_shift = options["context_shift"]
    if options["embedding"]:
        params.embedding = True
    if options["pooling_mean"]:
        params.pooling_type = POOLING_MEAN
    if options["rope_frequency_base"] is not None:
        params.rope_freq_base = options["rope_frequency_base"]
    if options["rope_frequency_scale"] is not None:
        params.rope_freq_scale = options["rope_frequency_scale"]


def set_cache(params: Any, options: dict[str, Any], library: Any) -> None:
    """Set how and where the attention cache is kept, and where the experts are.

    Args:
        params: The library's parameters, which are changed.
        options: What the parent process asked for.
        library: The ``xllamacpp`` module.
    """
    types = library.ggml_type
    params.cache_type_k = getattr(types, "GGML_TYPE_" + options["cache_type_k"].upper())
    params.cache_type_v = getattr(types, "GGML_TYPE_" + options["cache_type_v"].upper())
    params.no_kv_offload = not options["offload_cache"]
    if options["cpu_experts"]:
        params.tensor_buft_overrides = options["cpu_experts"]


def set_draft(params: Any, options: dict[str, Any], library: Any) -> None:
    """Set the draft model, if there is one.

    Args:
        params: The library's parameters, which are changed.
        options: What the parent process asked for.
        library: The ``xllamacpp`` module.
    """
    draft = options["draft"]
    if draft is None:
        return
    params.speculative.types = [
        library.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE
    ]
    settings = params.speculative.draft
    settings.mparams.path = draft["model"]
    settings.n_max = draft["max_tokens"]
    settings.n_min = draft["min_tokens"]
    settings.p_min = draft["min_probability"]
    settings.cpuparams.n_threads = options["threads"]
    settings.cpuparams_batch.n_threads = options["threads"]
    if options["gpu_layers"] is not None:
        settings.n_gpu_layers = options["gpu_layers"]


def parameters(options: dict[str, Any], library: Any) -> Any:
    """Return what llama.cpp is started with; raises what Python does where it lacks something."""
    params: Any = library.CommonParams()
    set_limits(params, options)
    set_exposure(params, options)
    set_model(params, options, library)
    set_cache(params, options, library)
    set_draft(params, options, library)
    return params


def import_library() -> Any:
    """Import llama.cpp, which needs the system's libgomp.

    Where the system has none, one in the environment's own ``lib`` folder serves: that needs no
    root. (`scripts/quickstart` puts one there, and conda environments have theirs there.)
    """
    try:
        return import_module("xllamacpp")  # without types, so Any
    except ImportError as error:
        own = os.path.join(sys.prefix, "lib", OPENMP_LIBRARY)  # noqa: PTH118 - start-up time
        if OPENMP_LIBRARY not in str(error) or not os.path.exists(own):  # noqa: PTH110 - as above
            raise
        import ctypes

        # Once loaded, it is found by its name.
        ctypes.CDLL(own, mode=ctypes.RTLD_GLOBAL)
        return import_module("xllamacpp")


def serve(options: dict[str, Any]) -> NoReturn:
    """Load the model, report the address, and serve until the process ends."""
    stdout = keep_stdout()
    os.environ[PROGRESS_VARIABLE] = "0"
    # After a failed assertion ggml would start a debugger, whose output hides the assertion.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    try:
        library = import_library()
    except ImportError as error:
        report(stdout, "import-failed", message=str(error) or type(error).__name__)
        raise SystemExit(1) from None
    try:
        params = parameters(options, library)
        # Loads, and holds the GIL while it does; the object has to stay referenced.
        server: Any = library.Server(params)
        address = str(server.listening_address)
    except RuntimeError as error:
        # The reason is on stderr, in llama.cpp's own words: written by a thread of its own, and lost
        # if that comes too late.
        time.sleep(LOG_SECONDS)
        report(stdout, "load-failed", message=str(error) or type(error).__name__)
        raise SystemExit(1) from None
    except (AttributeError, TypeError) as error:  # a newer or older one than this was written for
        report(stdout, "misfit", message=str(error))
        raise SystemExit(1) from None
    report(stdout, "ready", address=address)
    threading.Event().wait()
    raise SystemExit(0)


def main() -> NoReturn:
    """Read the options, watch stdin, serve."""
    # Ctrl-C at a terminal is the server's to handle: it unloads its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    here = __file__.rpartition(os.sep)[0]
    # Started by file name, Python put this folder first on the path, where its modules could
    # shadow others.
    sys.path[:] = [entry for entry in sys.path if entry != here]
    options = read_options()
    socket_path = options["host"] if options["host"].endswith(".sock") else None
    threading.Thread(target=end_with_stdin, args=(take_stdin(), socket_path), daemon=True).start()
    serve(options)


if __name__ == "__main__":
    main()
