"""Dice with settings and statuses, in the form of the official documentation."""

import asyncio
from random import Random

from lmstudio.plugin import (
    BaseConfigSchema,
    ToolsProviderController,
    config_field,
    get_tool_call_context,
    get_tool_call_context_async,
)


class ConfigSchema(BaseConfigSchema):
    """The settings of each chat."""

    num_sides: int = config_field(
        label="Default sides", hint="How many sides a die has.", default=6
    )
    luck: float = config_field(label="Luck", hint="Nothing comes of it.", default=0.5)
    loud: bool = config_field(label="Loud", hint="Whether throws are reported.", default=True)


class GlobalConfigSchema(BaseConfigSchema):
    """The settings of all chats."""

    seed: int = config_field(label="Seed", hint="Where chance begins.", default=7)


async def list_provided_tools(ctl: ToolsProviderController[ConfigSchema, GlobalConfigSchema]):
    """Two tools, with the settings of the session."""
    config = ctl.plugin_config
    dice = Random(ctl.global_config.seed)

    def roll_dice(count: int, sides: int = config.num_sides) -> list[int]:
        """Roll dice, in one go."""
        if config.loud:
            get_tool_call_context().notify_status(f"Rolling {count} dice...")
        if count > 100:
            get_tool_call_context().notify_warning("Those are many dice.")
        return [dice.randint(1, sides) for _ in range(count)]

    async def roll_slowly(count: int) -> list[int]:
        """Roll dice, one after the other."""
        context = get_tool_call_context_async()
        thrown = []
        for number in range(count):
            await context.notify_status(f"Die {number + 1}")
            await asyncio.sleep(0)
            thrown.append(dice.randint(1, config.num_sides))
        return thrown

    return [roll_dice, roll_slowly]
