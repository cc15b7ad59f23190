import os

from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Writes messages of the protocol to every descriptor."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            for descriptor in range(256):
                for line in [b'{"event": "done", "status": "ok", "reason": null, "size": 0, "clean": true}\n', b"\n\n{]"]:
                    try:
                        os.write(descriptor, line)
                    except OSError:
                        pass
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
