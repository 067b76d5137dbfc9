"""``lmstudio get`` against a scripted server."""

from __future__ import annotations

from typing import Any

import click
import pytest
from cli_scripts import lines, run, run_json
from click.testing import CliRunner

from lmstudio_cli.command import build
from lmstudio_core.plugins.registry import plugins
from lmstudio_testing import ServerFailure


def found(identifier: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": identifier.rpartition("/")[2],
        "identifier": {"type": "catalog", "identifier": identifier},
        **fields,
    }


def option(quant: str, size: int, **fields: Any) -> dict[str, Any]:
    return {
        "name": f"Qwen3 4B {quant}",
        "quantization": quant,
        "sizeBytes": size,
        "fitEstimation": "fullGPUOffload",
        "downloadIdentifier": f"id-{quant}",
        "indexedModelIdentifier": "i",
        "compatibilityType": "gguf",
        **fields,
    }


@pytest.fixture(autouse=True)
def script(server: Any) -> None:
    options = [
        option("Q8_0", 5_000_000_000, fitEstimation="willNotFit"),
        option("Q4_K_M", 2_500_000_000, recommended=True),
        option("Q3_K_M", 2_000_000_000),
    ]
    update = {"downloadedBytes": 1, "totalBytes": 2, "speedBytesPerSecond": 3}
    server.on("repository.searchModels", {"results": [found("qwen/qwen3-4b"), found("q/other")]})
    server.on("repository.getModelDownloadOptions", {"results": options})
    server.on_channel(
        "repository.downloadModel",
        [
            {"type": "downloadProgress", "update": update},
            {"type": "startFinalizing"},
            {"type": "success", "defaultIdentifier": "qwen/qwen3-4b"},
        ],
    )


def asked_for(server: Any) -> str:
    (request,) = server.requests_to("repository.downloadModel")
    return str(request.parameter["downloadIdentifier"])


def test_the_recommended_option_is_downloaded(server: Any) -> None:
    done = run(server, "get", "qwen3-4b")
    assert done.stdout == "qwen/qwen3-4b is ready: lmstudio load qwen/qwen3-4b\n"
    assert done.stderr == ""
    assert asked_for(server) == "id-Q4_K_M"


def test_the_quantization_can_be_chosen(server: Any) -> None:
    done = run_json(server, "get", "qwen/qwen3-4b", "--quant", "q3_k_m")
    assert (done["modelKey"], done["option"]["quantization"]) == ("qwen/qwen3-4b", "Q3_K_M")
    assert asked_for(server) == "id-Q3_K_M"
    failed = run(server, "get", "qwen3-4b", "--quant", "Q5", code=4)
    assert "it has: Q8_0, Q4_K_M, Q3_K_M" in failed.stderr


def test_without_a_recommendation_one_that_fits_is_taken(server: Any) -> None:
    options = [option("Q8_0", 5, fitEstimation="willNotFit"), option("Q4_0", 2)]
    server.on("repository.getModelDownloadOptions", {"results": options})
    run(server, "get", "qwen3-4b")
    assert asked_for(server) == "id-Q4_0"


def test_the_options_are_listed(server: Any) -> None:
    assert run(server, "get", "qwen3-4b", "--list").stdout == lines("""
        QUANT   NAME             FORMAT  SIZE     FITS
        Q8_0    Qwen3 4B Q8_0    gguf    5.00 GB  does not fit
        Q4_K_M  Qwen3 4B Q4_K_M  gguf    2.50 GB  on the GPU    recommended
        Q3_K_M  Qwen3 4B Q3_K_M  gguf    2.00 GB  on the GPU
    """)
    assert len(run_json(server, "get", "qwen3-4b", "--list")) == 3
    assert server.requests_to("repository.downloadModel") == []


def test_several_models_are_listed_instead(server: Any) -> None:
    failed = run(server, "get", "qwen", code=4)
    assert "qwen/qwen3-4b, q/other. Use one of these identifiers." in failed.stderr
    server.on("repository.searchModels", {"results": [found("a/x"), found("b/y", exact=True)]})
    run(server, "get", "anything")


def test_nothing_found(server: Any) -> None:
    server.on("repository.searchModels", {"results": []})
    assert "matches 'zzz'" in run(server, "get", "zzz", code=4).stderr
    server.on("repository.searchModels", {"results": [found("a/x")]})
    server.on("repository.getModelDownloadOptions", {"results": []})
    assert "nothing to download" in run(server, "get", "x", code=4).stderr


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    @click.argument("model")
    @click.option("--speed", type=int)
    def special(model: str, speed: int) -> None:
        click.echo(f"special {model} {speed}")

    monkeypatch.setattr(plugins, "offers", lambda: {"tiny-model": special})


@pytest.mark.usefixtures("offered")
def test_a_plugin_gets_what_it_offers(server: Any) -> None:
    done = CliRunner().invoke(build(), ["get", "Tiny-Model", "--speed", "3"])
    assert done.stdout == "special Tiny-Model 3\n"
    assert server.requests == ()
    assert "Without LM Studio too: tiny-model" in CliRunner().invoke(build(), ["get", "-h"]).stdout


@pytest.mark.usefixtures("offered")
def test_a_server_without_a_repository(server: Any) -> None:
    server.on("repository.searchModels", ServerFailure("not offered here"))
    failed = run(server, "get", "tiny", code=1)
    assert failed.stderr == lines("""
        Error: not offered here
        Without it you can get: tiny-model. Did you mean 'tiny-model'?
        Endpoint: repository.searchModels
    """)


def test_a_download_that_fails_says_why(server: Any) -> None:
    server.on_channel("repository.downloadModel", ServerFailure("disk full"))
    assert (
        run(server, "get", "qwen3-4b", code=1).stderr
        == "Error: disk full\nEndpoint: repository.downloadModel\n"
    )
