"""What quickstart runs last: one question to the pocket model, through the SDK as a user would."""

from __future__ import annotations

import sys
import textwrap
import time

QUESTION = "What is the meaning of life?"

PROGRAM = """\
import lmstudio as lms

model = lms.llm("pocket")
print(model.respond({question!r}))
"""

AFTERWORDS = """\
A real model answered, in {seconds:.1f} s: a server on this machine ran it, and the lines above
talked to that server. The pocket model is tiny and knows nothing; it is there for trying things
out. With LM Studio running, the same lines take the models you have there.

Next:
    . .venv/bin/activate      use the packages in this shell
    lmstudio chat             have a conversation here
    docs/                     read what else there is
    ./scripts/test            run the tests
"""


def main() -> int:
    """Show the program, run it, and say what happened."""
    question = " ".join(sys.argv[1:]) or QUESTION
    program = PROGRAM.format(question=question)
    print(textwrap.indent(program, "    "), flush=True)
    started = time.perf_counter()
    import lmstudio as lms
    from lmstudio_server.embedded import ensure_running

    # The bundled server even where LM Studio runs: this shows that the packages here work.
    lms.configure_default_client(ensure_running())
    exec(compile(program, "<the lines above>", "exec"), {"__name__": "__main__"})
    print()
    print(AFTERWORDS.format(seconds=time.perf_counter() - started))
    return 0


if __name__ == "__main__":
    sys.exit(main())
