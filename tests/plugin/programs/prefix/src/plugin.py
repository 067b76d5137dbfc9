"""A prefix before each prompt, in the form of the official documentation."""

from lmstudio import UserMessage, UserMessageDict
from lmstudio.plugin import BaseConfigSchema, PromptPreprocessorController, config_field


class ConfigSchema(BaseConfigSchema):
    """The settings of each chat."""

    prefix: str = config_field(
        label="Prefix", hint="What goes before prompts.", default="And now: "
    )


async def preprocess_prompt(
    ctl: PromptPreprocessorController[ConfigSchema, BaseConfigSchema], message: UserMessage
) -> UserMessageDict | None:
    """Put the prefix before the first text."""
    status = await ctl.notify_start("Prefixing...")
    async with status.notify_aborted("Prefixing was cancelled"):
        await status.notify_working("Putting the prefix before it")
        changed = message.to_dict()
        if not changed["content"]:
            return None
        changed["content"][0]["text"] = ctl.plugin_config.prefix + changed["content"][0]["text"]
        await status.notify_done("Prefixed")
    await ctl.notify_done("The prompt has its prefix")
    return changed
