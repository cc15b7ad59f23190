import importlib.util
import os
import sys
from pathlib import Path

from evaluator.contract import Job, Pruned, PruningMethod


def attempt(what, action):
    """Say so when ``action`` works: the test looks for the word."""
    try:
        found = action()
    except BaseException as error:
        print(what, "failed:", type(error).__name__)
    else:
        print("BREACH", what, repr(found)[:200])


def package(name):
    """Its folder, found and not imported: importing scikit-learn takes longer than all else here."""
    return Path(importlib.util.find_spec(name).origin).parent


class Attack(PruningMethod):
    """Looks for the test images, by their path and everywhere else."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            attempt("the known path", lambda: open(self.hidden, "rb").read(16))
            attempt("the digits that a package ships", lambda: (package("sklearn") / "datasets/data/digits.csv.gz").read_bytes())
            for root in ("/", *sys.path):  # of the system itself only what Python imports from
                for folder, folders, files in os.walk(root):
                    if folder == "/":
                        folders[:] = set(folders) - {"proc", "sys", "usr"}
                    for name in files:
                        if name == "test.safetensors" or name.startswith("digits.csv"):
                            print("BREACH found", folder, name)
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
