"""A plugin's settings, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio._official import official_names

if TYPE_CHECKING:
    from lmstudio_plugin.config_schemas import BaseConfigSchema as BaseConfigSchema
    from lmstudio_plugin.config_schemas import config_field as config_field

_HOMES: Final = {
    "BaseConfigSchema": "lmstudio_plugin.config_schemas:BaseConfigSchema",
    "_CONFIG_FIELDS_KEY": "lmstudio_plugin.config_schemas:_CONFIG_FIELDS_KEY",
    "_ConfigBool": "lmstudio_plugin.config_schemas:_ConfigBool",
    "_ConfigField": "lmstudio_plugin.config_schemas:_ConfigField",
    "_ConfigFloat": "lmstudio_plugin.config_schemas:_ConfigFloat",
    "_ConfigInt": "lmstudio_plugin.config_schemas:_ConfigInt",
    "_ConfigString": "lmstudio_plugin.config_schemas:_ConfigString",
    "_ImplicitDataClass": "lmstudio_plugin.config_schemas:_ImplicitDataClass",
    "_T": "lmstudio_plugin.config_schemas:_T",
    "config_field": "lmstudio_plugin.config_schemas:config_field",
}

__all__ = [
    "BaseConfigSchema",
    "config_field",
]

__getattr__, __dir__ = official_names(__name__, _HOMES)
