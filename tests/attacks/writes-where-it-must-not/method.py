import os
import sys

from evaluator.contract import Job, Pruned, PruningMethod


def attempt(what, action):
    """Say so when ``action`` works: the test looks for the word."""
    try:
        found = action()
    except BaseException as error:
        print(what, "failed:", type(error).__name__)
    else:
        print("BREACH", what, repr(found)[:200])


class Attack(PruningMethod):
    """Changes its own code, the evaluator's, the interpreter's, the data and the base models."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            import evaluator
            import torch

            places = [__file__, evaluator.__file__, torch.__file__, os.__file__, sys.executable]
            places += ["/espalier/data/train.safetensors", "/espalier/given/base.safetensors", "/proc/self/exe"]
            for path in places:
                attempt(path, lambda path=path: open(path, "r+b").write(b"#"))
                attempt(f"chmod {path}", lambda path=path: os.chmod(path, 0o777))
                attempt(f"replace {path}", lambda path=path: os.rename(path, path + ".old"))
            folders = ["/", "/dev", "/etc", "/usr", "/usr/lib", "/espalier", "/espalier/code", "/espalier/pycache", "/espalier/data"]
            for folder in [*folders, *(os.path.dirname(path) for path in places), os.path.dirname(self.bait), self.checkout]:
                attempt(f"into {folder}", lambda folder=folder: open(folder + "/planted", "w").write("x"))
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
