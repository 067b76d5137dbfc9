"""Run by PyInstaller when a program uses ``lmstudio``."""

from lmstudio_core.freezing import collected

datas, hiddenimports = collected("lmstudio")
