from evaluator.contract import Job, Pruned, PruningMethod


class Attack(PruningMethod):
    """Writes into every writable folder until it is full."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            for folder in ["/tmp", "/dev/shm", "/espalier/output"]:
                for number in range(100):
                    try:
                        with open(f"{folder}/{number}", "wb") as file:
                            for _ in range(1000):
                                file.write(b"x" * (1 << 20))
                    except OSError as error:
                        print(folder, number, error)
                        last = error
            raise last
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
