"""What quickstart runs last: one question to the pocket model, through the SDK as a user would."""

from __future__ import annotations

import os
import sys
import time

QUESTION = "What is the meaning of life?"

PROGRAM = """\
import lmstudio as lms

model = lms.llm("pocket")
print(model.respond({question!r}))
"""

AFTERWORDS = """\
A real model answered ({seconds:.1f} s): a llama.cpp server on this machine ran it, and the lines
above talked to it. The pocket model is tiny and knows nothing; it is for trying things out. With LM Studio
running, the same lines use the models you have there.

Next:
    . .venv/bin/activate        this shell uses the packages
    lmstudio chat               a conversation, here
    docs/                       what else there is
    ./scripts/test              run the tests
"""


def main() -> int:
    """Show the program, run it, and say what happened."""
    question = " ".join(sys.argv[1:]) or QUESTION
    program = PROGRAM.format(question=question)
    print(*(f"    {line}" for line in program.splitlines()), sep="\n", end="\n\n", flush=True)
    started = time.perf_counter()
    from lmstudio_server.embedded import ensure_running

    # The bundled server even where LM Studio runs: this shows that the packages here work.
    os.environ["LMSTUDIO_API_HOST"] = ensure_running()
    exec(compile(program, "<the lines above>", "exec"), {"__name__": "__main__"})
    print()
    print(AFTERWORDS.format(seconds=time.perf_counter() - started))
    return 0


if __name__ == "__main__":
    sys.exit(main())
