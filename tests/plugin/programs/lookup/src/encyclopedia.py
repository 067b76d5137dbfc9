"""A module of the plugin's own, beside the one that is run."""

import json
import os
import urllib.parse
import urllib.request


def ask(**query: str) -> dict:
    """What the encyclopedia answers."""
    url = os.environ["ENCYCLOPEDIA_URL"] + "?" + urllib.parse.urlencode(query)
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)
