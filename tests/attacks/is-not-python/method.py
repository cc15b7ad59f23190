def prune(self, job:
    return the best
