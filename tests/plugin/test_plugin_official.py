"""Every name of the official beta's plugin modules is there, and is what programs take it for."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import lmstudio.plugin as official
from lmstudio.sdk_api import LMStudioError, LMStudioRuntimeError, LMStudioValueError

NAMES = {
    "": "AsyncToolCallContext BaseConfigSchema LMStudioPluginInitError LMStudioPluginRuntimeError "
    "PromptPreprocessorController TokenGeneratorController ToolCallContext ToolsProviderController "
    "config_field get_tool_call_context get_tool_call_context_async run_plugin run_plugin_async "
    "config_schemas hooks runner sdk_api",
    ".sdk_api": "LMStudioPluginInitError LMStudioPluginRuntimeError plugin_sdk_type _C "
    "_PLUGIN_SDK_SUBMODULE",
    ".config_schemas": "BaseConfigSchema config_field _CONFIG_FIELDS_KEY _ConfigBool _ConfigField "
    "_ConfigFloat _ConfigInt _ConfigString _ImplicitDataClass _T",
    ".hooks": "PromptPreprocessorHook TokenGeneratorHook ToolsProviderHook TGlobalConfigSchema "
    "TPluginConfigSchema _AsyncSessionPlugins run_prompt_preprocessor run_token_generator "
    "run_tools_provider common prompt_preprocessor token_generator tools_provider",
    ".hooks.common": "HookController PluginRequest ServerRequestError StatusBlockController "
    "StatusUpdateCallback TConfig TPluginRequest _AsyncSessionPlugins",
    ".hooks.prompt_preprocessor": "PromptPreprocessor PromptPreprocessorController "
    "PromptPreprocessingEndpoint PromptPreprocessingAbortEvent PromptPreprocessingRxEvent "
    "PromptPreprocessingRequestEvent run_prompt_preprocessor",
    ".hooks.token_generator": "TokenGeneratorController TokenGeneratorHook run_token_generator",
    ".hooks.tools_provider": "ToolCallHandler ToolsProvider ToolsProviderEndpoint "
    "ProvideToolsAbortCallEvent ProvideToolsCallToolEvent ProvideToolsDiscardSessionEvent "
    "ProvideToolsInitSessionEvent PromptPreprocessingRxEvent T _BaseToolCallContext "
    "_LMS_TOOL_CALL_ASYNC _LMS_TOOL_CALL_SYNC run_tools_provider",
    ".runner": "AnyHookImpl ENV_CLIENT_ID ENV_CLIENT_KEY HookRunner PluginClient ReadyCallback "
    "THookImpl _HOOK_RUNNERS _PLUGIN_API_STABILITY_WARNING get_plugin_credentials_from_env "
    "run_plugin run_plugin_async",
    "._dev_runner": "DevPluginClient DevPluginRegistrationEndpoint DevPluginRegistrationReadyEvent "
    "DevPluginRegistrationRxEvent _PLUGIN_INTERRUPT_SIGNAL _PLUGIN_STATUS_POLL_INTERVAL "
    "_PLUGIN_STOP_TIMEOUT _get_creation_flags _get_interrupt_signal _interrupt_child_process "
    "_run_plugin_in_child_process _start_child_process run_plugin run_plugin_async",
    ".cli": "_parse_args main",
    ".__main__": "main",
}


@pytest.mark.parametrize("module", NAMES)
def test_every_name_is_there(module: str) -> None:
    found = importlib.import_module(f"lmstudio.plugin{module}")
    assert [name for name in NAMES[module].split() if not hasattr(found, name)] == []


def test_public_classes_show_the_official_path() -> None:
    for cls in (
        official.BaseConfigSchema,
        official.LMStudioPluginInitError,
        official.LMStudioPluginRuntimeError,
    ):
        assert cls.__module__ == "lmstudio.plugin"
    assert issubclass(official.LMStudioPluginInitError, (LMStudioValueError, ValueError))
    assert issubclass(official.LMStudioPluginRuntimeError, (LMStudioRuntimeError, RuntimeError))
    assert issubclass(official.LMStudioPluginInitError, LMStudioError)


def test_functions_have_the_official_parameters() -> None:
    for function in (official.run_plugin, official.run_plugin_async):
        parameters = inspect.signature(function).parameters
        assert list(parameters) == ["plugin_dir", "allow_local_imports"]
        assert parameters["allow_local_imports"].default is False
    parameters = inspect.signature(official.config_field).parameters
    assert list(parameters) == ["label", "hint", "default"]
    for parameter in parameters.values():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY


def test_importing_it_loads_nothing_of_weight() -> None:
    code = (
        "import sys, lmstudio.plugin\n"
        "print([m for m in ('pydantic', 'asyncio', 'websockets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_contexts_belong_to_tools_alone() -> None:
    for get in (official.get_tool_call_context, official.get_tool_call_context_async):
        with pytest.raises(official.LMStudioPluginRuntimeError, match="tool"):
            get()
