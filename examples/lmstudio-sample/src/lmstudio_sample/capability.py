"""What this package announces: the namespace ``sample``. Nothing else is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.plugins.api import Capability

if TYPE_CHECKING:
    from .namespaces import AsyncSampleNamespace, SampleNamespace

SAMPLE: Final[Capability[SampleNamespace, AsyncSampleNamespace]] = Capability(
    name="sample",
    sync_namespace="lmstudio_sample.namespaces:SampleNamespace",
    async_namespace="lmstudio_sample.namespaces:AsyncSampleNamespace",
    exports={"SampleOverview": "lmstudio_sample.operations:SampleOverview"},
    api_version=1,
)
