"""Run by PyInstaller when a program uses ``lmstudio_cli``."""

from lmstudio_core.plugins.freezing import collected

datas, hiddenimports = collected("lmstudio-cli")
