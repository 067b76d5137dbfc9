"""``client.repository`` of ``AsyncClient``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from typing_extensions import Unpack

from ...client.namespace import AsyncNamespace
from ...timeouts import CallLimits
from . import downloads, plans
from . import operations as ops
from .available import AsyncAvailableModel
from .data import (
    AuthenticationRequest,
    AuthenticationStatus,
    DownloadFinalizedCallback,
    DownloadProgressCallback,
    HubModel,
    LocalArtifactFileList,
    StaffPick,
)
from .link import AsyncLmLink
from .planner import AsyncDownloadPlanner
from .plans import DownloadPlan

__all__ = ["AsyncRepositoryNamespace"]


class AsyncRepositoryNamespace(AsyncNamespace):
    """Models and other artifacts to download, and the account for it; for asyncio."""

    server_namespace = "repository"

    @property
    def lm_link(self) -> AsyncLmLink:
        """Other devices whose models the server can use."""
        return AsyncLmLink(self._client)

    async def search_models(
        self,
        search_term: str | None = None,
        limit: int | None = None,
        compatibility_types: Iterable[str] | None = None,
        **limits: Unpack[CallLimits],
    ) -> list[AsyncAvailableModel]:
        """Search for models to download.

        Args:
            search_term: What to look for; without it, what LM Studio recommends.
            limit: How many at most, up to 25.
            compatibility_types: Formats to look for, such as ``["gguf"]``; by default those that
                the server can run.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            What was found, as the server ranked it.

        Raises:
            LMStudioValueError: An argument is out of range.
        """
        found = await self._client.run(
            ops.search_models(search_term, limit, compatibility_types), **limits
        )
        return [AsyncAvailableModel(result, self._client) for result in found]

    async def find_staff_picks(
        self,
        search_term: str | None = None,
        limit: int | None = None,
        compatibility_types: Iterable[str] | None = None,
        **limits: Unpack[CallLimits],
    ) -> list[StaffPick]:
        """Models that LM Studio's staff recommends; the arguments are those of ``search_models``."""
        return await self._client.run(
            ops.find_staff_picks(search_term, limit, compatibility_types), **limits
        )

    async def get_model_catalog(self, **limits: Unpack[CallLimits]) -> list[HubModel]:
        """All models of LM Studio's catalog."""
        return await self._client.run(ops.get_model_catalog(), **limits)

    async def download_artifact(
        self,
        owner: str,
        name: str,
        path: str | os.PathLike[str],
        *,
        revision: int | None = None,
        on_progress: DownloadProgressCallback | None = None,
        on_finalize: DownloadFinalizedCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Download an artifact (a plugin, a preset, a model's description) of LM Studio's hub.

        Args:
            owner: Whose it is.
            name: Its name there.
            path: The folder to put it in: an absolute path on the server's machine.
            revision: Which revision; by default the newest.
            on_progress: Called with a ``DownloadProgressUpdate`` again and again.
            on_finalize: Called once when everything is downloaded and is put in its place.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        await self._client.run(
            downloads.download_artifact(owner, name, path, revision, on_progress, on_finalize),
            **limits,
        )

    async def create_artifact_download_planner(
        self,
        owner: str,
        name: str,
        *,
        prefer_files: Iterable[str] | None = None,
        prefer_quantizations: Iterable[str] | None = None,
        compatibility_types: Iterable[str] | None = None,
        on_plan_updated: Callable[[DownloadPlan], object] | None = None,
    ) -> AsyncDownloadPlanner:
        """Plan the download of an artifact of LM Studio's hub and of all that it depends on.

        Args:
            owner: Whose it is.
            name: Its name there.
            prefer_files: File names to choose, if there are such, the best first.
            prefer_quantizations: Quantizations to choose otherwise, such as ``["Q4_K_M"]``.
            compatibility_types: Formats to choose from, such as ``["gguf"]``; by default those
                that the server can run.
            on_plan_updated: Called with the plan whenever it changes.

        Returns:
            The planner, for an ``async with`` statement.
        """
        channel = plans.plan_channel(
            plans.artifact_target(owner, name),
            prefer_files=prefer_files,
            prefer_quantizations=prefer_quantizations,
            compatibility_types=compatibility_types,
            on_plan_updated=on_plan_updated,
        )
        return await AsyncDownloadPlanner(channel, self._client).start()  # async only
        # sync: return DownloadPlanner(channel, self._client)

    async def create_model_download_planner(
        self,
        user: str,
        repo: str,
        *,
        prefer_files: Iterable[str] | None = None,
        prefer_quantizations: Iterable[str] | None = None,
        compatibility_types: Iterable[str] | None = None,
        on_plan_updated: Callable[[DownloadPlan], object] | None = None,
    ) -> AsyncDownloadPlanner:
        """Plan the download of a model of Hugging Face.

        Args:
            user: Whose it is there.
            repo: The repository's name.
            prefer_files: File names to take where several would do; the first that is there.
            prefer_quantizations: The same by quantization, such as ``"Q4_K_M"``.
            compatibility_types: The same by format, such as ``"gguf"``.
            on_plan_updated: Called with the plan whenever it changes.
        """
        channel = plans.plan_channel(
            plans.model_target(user, repo),
            prefer_files=prefer_files,
            prefer_quantizations=prefer_quantizations,
            compatibility_types=compatibility_types,
            on_plan_updated=on_plan_updated,
        )
        return await AsyncDownloadPlanner(channel, self._client).start()  # async only
        # sync: return DownloadPlanner(channel, self._client)

    async def push_artifact(
        self,
        path: str | os.PathLike[str],
        *,
        description: str | None = None,
        make_private: bool | None = None,
        write_revision: bool | None = None,
        overrides: Any = None,
        on_message: Callable[[str], object] | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Push an artifact to LM Studio's hub.

        Args:
            path: The artifact's folder: an absolute path on the server's machine.
            description: What it is, in up to 1000 characters.
            make_private: Whether only its owner shall see it.
            write_revision: Whether the new revision's number is written to the manifest there.
            overrides: Plain data that replaces parts of the manifest for this push.
            on_message: Called with each line that the server reports.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        await self._client.run(
            downloads.push_artifact(
                path,
                description=description,
                make_private=make_private,
                write_revision=write_revision,
                overrides=overrides,
                on_message=on_message,
            ),
            **limits,
        )

    async def get_local_artifact_files(
        self, path: str | os.PathLike[str], **limits: Unpack[CallLimits]
    ) -> LocalArtifactFileList:
        """The files that a push of this folder (an absolute path on the server's machine) sends."""
        return await self._client.run(ops.get_local_artifact_files(path), **limits)

    async def get_writable_artifact_owners(self, **limits: Unpack[CallLimits]) -> list[str]:
        """The owners under whose names the logged-in user may push."""
        return await self._client.run(ops.get_writable_artifact_owners(), **limits)

    async def install_local_plugin(
        self, plugin_path: str | os.PathLike[str], **limits: Unpack[CallLimits]
    ) -> None:
        """Install a plugin from a folder (an absolute path on the server's machine)."""
        await self._client.run(ops.install_local_plugin(plugin_path), **limits)

    async def install_plugin_dependencies(
        self, plugin_folder: str | os.PathLike[str], **limits: Unpack[CallLimits]
    ) -> None:
        """Install what a plugin's folder (an absolute path on the server's machine) needs."""
        await self._client.run(ops.install_plugin_dependencies(plugin_folder), **limits)

    async def is_authenticated(self, **limits: Unpack[CallLimits]) -> bool:
        """Whether the server is logged in to LM Studio's hub."""
        return await self._client.run(ops.is_authenticated(), **limits)

    async def get_authentication_status(self, **limits: Unpack[CallLimits]) -> AuthenticationStatus:
        """Who is logged in to LM Studio's hub on the server."""
        return await self._client.run(ops.get_authentication_status(), **limits)

    async def ensure_authenticated(
        self, on_request: Callable[[AuthenticationRequest], object], **limits: Unpack[CallLimits]
    ) -> None:
        """Log the server in to LM Studio's hub, if nobody is logged in yet.

        A person has to confirm the login in a browser, and this call waits for it, however long
        that takes.

        Args:
            on_request: Called with the code and the addresses to show to that person.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Raises:
            LMStudioServerError: The login failed.
        """
        await self._client.run(downloads.ensure_authenticated(on_request), **limits)

    async def login_as_compute_device(
        self, token: str, **limits: Unpack[CallLimits]
    ) -> AuthenticationStatus:
        """Log the server in as a device that computes for the owner of ``token``."""
        return await self._client.run(ops.login_as_compute_device(token), **limits)

    async def login_with_pre_authenticated_keys(
        self, key_id: str, public_key: str, private_key: str, **limits: Unpack[CallLimits]
    ) -> str:
        """Log the server in with keys that were made elsewhere; returns the user's name."""
        return await self._client.run(
            ops.login_with_pre_authenticated_keys(key_id, public_key, private_key),
            **limits,
        )

    async def deauthenticate(self, **limits: Unpack[CallLimits]) -> None:
        """Log the server out of LM Studio's hub."""
        await self._client.run(ops.deauthenticate(), **limits)
