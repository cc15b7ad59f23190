def prune(job):
    return job
