"""Models to download: what Hugging Face offers, and bringing it into the models folder.

``offers`` and ``fit`` decide, ``remote`` asks the hub, ``transfer`` moves one file, ``downloads``
runs what clients asked for. The package ``huggingface_hub`` is imported when the hub is first asked.
"""
