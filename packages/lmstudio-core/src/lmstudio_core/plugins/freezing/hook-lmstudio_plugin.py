"""Run by PyInstaller when a program uses ``lmstudio_plugin``."""

from lmstudio_core.plugins.freezing import collected

datas, hiddenimports = collected("lmstudio-plugin")
