"""Looking things up over HTTP, in the form of the official documentation."""

from encyclopedia import ask

from lmstudio import ToolFunctionDef, ToolFunctionDefDict
from lmstudio.plugin import BaseConfigSchema, ToolsProviderController, get_tool_call_context


class ConfigSchema(BaseConfigSchema):
    """No settings yet."""


def get_page(page_id: int) -> str:
    """The text of a page."""
    get_tool_call_context().notify_status(f"Fetching page {page_id}...")
    return ask(page=str(page_id))["text"]


def search_pages(text: str, limit: int = 3) -> list[dict]:
    """Pages that a text is on."""
    get_tool_call_context().notify_status(f"Looking for {text!r}...")
    return ask(search=text)["pages"][:limit]


async def list_provided_tools(ctl: ToolsProviderController[ConfigSchema, BaseConfigSchema]):
    """The two, in two forms."""
    described: ToolFunctionDefDict = {
        "name": "search",
        "description": "Look for pages.",
        "parameters": {"text": str, "limit": {"type": int, "default": 3}},
        "implementation": search_pages,
    }
    return [ToolFunctionDef.from_callable(get_page), described]
