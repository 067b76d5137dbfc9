"""Run by PyInstaller when a program uses ``lmstudio_batch``."""

from lmstudio_core.plugins.freezing import collected

datas, hiddenimports = collected("lmstudio-batch")
