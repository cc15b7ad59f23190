import os
import sys

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Prints without end, with terminal codes, hidden characters and paths."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            for _ in range(100):
                os.write(1, b"\x1b[31m" + b"x" * (1 << 20))
            print(sys.prefix, sys.path)
            print("\x1b]0;title\x07\u202ereversed\u0000 <script>alert(1)</script>\r\nend", __file__)
            os.write(2, b"\xff\xfe not text\n")
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
