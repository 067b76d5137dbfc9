"""What the official SDK for Python (1.5.0) does with a repository: ``official_hub.py HOST:PORT``."""

import sys

import lmstudio as lms

with lms.Client(sys.argv[1]) as client:
    (found,) = client.repository.search_models("acme/Parrot-GGUF")
    option = next(o for o in found.get_download_options() if o.info.recommended)
    seen = []
    key = option.download(lambda update: seen.append(update.downloaded_bytes))
    assert key == "parrot"
    assert seen[-1] == option.info.size_bytes
    answer = client.llm.model(key).respond(
        "What is the meaning of life?", config={"temperature": 0.0}
    )
    assert "42" in answer.content
print("ok")
