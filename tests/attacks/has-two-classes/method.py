from evaluator.contract import Job, Pruned, PruningMethod


class First(PruningMethod):
    def prune(self, job: Job) -> Pruned:
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})


class Second(First):
    pass
