"""Download plans: what has to be fetched for an artifact or a model, and the stream about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...data import Number, ServerStruct
from ...errors import LMStudioValueError
from ...lenient import as_mapping, report
from ...protocol.operations import Channel, Endpoint
from .data import DownloadFinalizedCallback, DownloadProgressCallback, DownloadProgressUpdate
from .operations import artifact_name, text

__all__ = [
    "DownloadPlan",
    "DownloadPlanModel",
    "DownloadPlanNode",
    "DownloadPlanOption",
    "PlanChannel",
    "artifact_target",
    "model_target",
    "plan_channel",
]


class DownloadPlanModel(ServerStruct):
    """A model that a plan uses: one that is there already, or the one chosen."""

    display_name: str = ""
    size_bytes: Number = 0
    quant_name: str | None = None
    compatibility_type: str = ""
    model_key: str | None = None


class DownloadPlanOption(ServerStruct):
    """One way to satisfy a plan's need for a model.

    ``fit_estimation`` is as in ``ModelDownloadOptionInfo``; ``availability`` is
    ``"notDownloaded"``, ``"downloading"`` or ``"downloaded"``.
    """

    display_name: str = ""
    size_bytes: Number = 0
    quant_name: str | None = None
    compatibility_type: str = ""
    fit_estimation: str = ""
    availability: str = ""
    recommended: bool | None = None


class DownloadPlanNode(ServerStruct):
    """A part of a plan: an artifact (``owner``, ``name``, what it depends on) or a model.

    ``state`` is ``"pending"``, ``"fetching"``, ``"satisfied"`` (nothing to download) or
    ``"completed"`` (known well enough to download). The indices of ``dependency_nodes`` count the
    plan's nodes, those of options ``download_options``; no selected option means that the model
    in ``already_owned`` is used.
    """

    type: str = ""
    state: str = ""
    owner: str | None = None
    name: str | None = None
    artifact_type: str | None = None
    size_bytes: int | None = None
    dependency_nodes: tuple[int, ...] = ()
    dependency_label: str | None = None
    resolved_sources: int | None = None
    total_sources: int | None = None
    already_owned: DownloadPlanModel | None = None
    selected: DownloadPlanModel | None = None
    download_options: tuple[DownloadPlanOption, ...] = ()
    selected_download_option_index: int | None = None
    recommended_download_option_index: int | None = None


class DownloadPlan(ServerStruct):
    """What would be downloaded; the first node is what was asked for.

    ``download_action`` is ``"none"``, ``"startNewDownload"`` or ``"attachToExistingDownload"``.
    ``version`` grows with each change.
    """

    nodes: tuple[DownloadPlanNode, ...] = ()
    download_size_bytes: int = 0
    download_action: str = ""
    download_job_identifier: str | None = None
    version: int = 0


PlanEvent = DownloadPlan | DownloadProgressUpdate


class PlanChannel(Channel[PlanEvent, DownloadPlan]):
    """A plan in the making, then its download; ``plan`` is the newest version."""

    endpoint: Endpoint = Endpoint("repository", "createDownloadPlan", "channel")

    def __init__(
        self,
        parameter: Mapping[str, Any],
        on_plan_updated: Callable[[DownloadPlan], object] | None,
    ) -> None:
        self.parameter: Any = parameter
        self.cancel_message: Mapping[str, Any] | None = {"type": "cancelPlan"}
        self.plan: DownloadPlan = DownloadPlan()
        self.committed: bool = False
        self._on_plan_updated = on_plan_updated
        self._on_progress: DownloadProgressCallback | None = None
        self._on_finalize: DownloadFinalizedCallback | None = None
        self._seen_ready = False
        self._requested = 0

    @property
    def ready(self) -> bool:
        """Whether the plan is whole, and shows every choice that was made."""
        return self._seen_ready and self.plan.version >= self._requested

    def feed(self, message: Any) -> Sequence[PlanEvent]:
        """Take one packet; see ``Channel.feed``."""
        packet = as_mapping(message)
        match packet.get("type"):
            case "planUpdated" | "planReady" as kind:
                self._seen_ready = self._seen_ready or kind == "planReady"
                self.plan = DownloadPlan.from_dict(as_mapping(packet.get("plan")))
                report(self._on_plan_updated, "on_plan_updated", self.plan)
                return (self.plan,)
            case "downloadProgress":
                update = DownloadProgressUpdate.from_dict(as_mapping(packet.get("update")))
                report(self._on_progress, "on_progress", update)
                return (update,)
            case "startFinalizing":
                report(self._on_finalize, "on_finalize")
            case "success":
                self.done = True
            case _:
                pass
        return ()

    def result(self) -> DownloadPlan:
        """What it came to; see ``Channel.result``."""
        return self.plan

    def select(self, node_index: int, option_index: int | None) -> Mapping[str, Any]:
        """Choose how a node is satisfied; returns the packet that says so to the server.

        Raises:
            LMStudioValueError: There is no such node or option.
        """
        nodes = self.plan.nodes
        if not 0 <= node_index < len(nodes) or nodes[node_index].type != "model":
            models = [str(i) for i, node in enumerate(nodes) if node.type == "model"]
            raise LMStudioValueError(
                f"Node {node_index!r} of the plan is no model to choose for; models are: "
                f"{', '.join(models) or 'none'}."
            )
        options = nodes[node_index].download_options
        if option_index is not None and not 0 <= option_index < len(options):
            raise LMStudioValueError(
                f"Node {node_index} has {len(options)} options, numbered from 0; there is no "
                f"{option_index!r}."
            )
        if option_index is None and nodes[node_index].already_owned is None:
            raise LMStudioValueError(f"No downloaded model satisfies node {node_index} yet.")
        self._requested = max(self.plan.version, self._requested) + 1
        return {
            "type": "setSelectedDownloadOptionIndex",
            "nodeIndex": node_index,
            "selectedDownloadOptionIndex": option_index,
            "requestedPlanVersion": self._requested,
        }

    def commit(
        self,
        on_progress: DownloadProgressCallback | None,
        on_finalize: DownloadFinalizedCallback | None,
    ) -> Mapping[str, Any]:
        """Start the download; returns the packet that says so to the server."""
        self._on_progress = on_progress
        self._on_finalize = on_finalize
        self.committed = True
        self.cancel_message = {"type": "cancelDownload"}
        return {"type": "commit"}


def artifact_target(owner: str, name: str) -> dict[str, Any]:
    """An artifact of LM Studio's hub."""
    return {
        "type": "artifact",
        "owner": artifact_name("owner", owner),
        "name": artifact_name("name", name),
    }


def model_target(user: str, repo: str) -> dict[str, Any]:
    """A model of Hugging Face."""
    source = {"type": "huggingface", "user": text("user", user), "repo": text("repo", repo)}
    return {"type": "model", "source": source}


def _names(what: str, values: Iterable[str] | None) -> list[str]:
    if isinstance(values, str):
        raise LMStudioValueError(f"{what} is a list, such as [{values!r}].")
    return [text(what, value) for value in values or ()]


def plan_channel(
    target: Mapping[str, Any],
    *,
    prefer_files: Iterable[str] | None,
    prefer_quantizations: Iterable[str] | None,
    compatibility_types: Iterable[str] | None,
    on_plan_updated: Callable[[DownloadPlan], object] | None,
) -> PlanChannel:
    """Start to plan the download of a target."""
    preferred = [
        {"type": "fileName", "fileName": name} for name in _names("prefer_files", prefer_files)
    ]
    preferred += [
        {"type": "quantName", "quantName": name}
        for name in _names("prefer_quantizations", prefer_quantizations)
    ]
    opts: dict[str, Any] = {}
    if preferred:
        opts["resolutionPreference"] = preferred
    if compatibility_types is not None:
        opts["compatibilityTypes"] = _names("compatibility_types", compatibility_types)
    parameter: dict[str, Any] = {"target": target}
    if opts:
        parameter["opts"] = opts
    return PlanChannel(parameter, on_plan_updated)
