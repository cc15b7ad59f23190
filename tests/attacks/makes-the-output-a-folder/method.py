import os

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


class Attack(PruningMethod):
    """Makes the output a folder with a file in it."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            os.mkdir(OUTPUT)
            open(OUTPUT + "/artifact.safetensors", "w").close()
            claim_success()
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
