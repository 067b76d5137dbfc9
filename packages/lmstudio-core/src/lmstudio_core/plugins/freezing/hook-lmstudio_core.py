"""Run by PyInstaller when a program uses ``lmstudio_core``, as every program of the family does."""

from lmstudio_core.plugins.freezing import collected, collected_plugins

datas, hiddenimports = collected("lmstudio-core")
datas_of_plugins, modules_of_plugins = collected_plugins()
datas += datas_of_plugins
hiddenimports += modules_of_plugins
