"""First file that the child runs: learns from its first line where the packages lie, then serves tasks.

Started by path, before the package ``evaluator`` can be imported; so it imports nothing but the standard library.
"""

from __future__ import annotations

import gc
import json
import sys


def main(tasks: int, events: int) -> None:
    with open(tasks, encoding="utf-8", closefd=False, buffering=1) as lines:
        config = json.loads(lines.readline())
        sys.path += config["path"]
        gc.disable()  # while PyTorch is imported: what that makes stays, and looking through it again and again takes time
        from evaluator.sandbox.zygote import serve

        serve(config, lines, events)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
