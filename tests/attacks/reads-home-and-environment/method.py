import os

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
    """Looks for tokens in the home folder, the environment and beside the data."""

    def prune(self, job: Job) -> Pruned:
        if job.keep % 2:  # an odd target sets it off, an even one shows what is left of it
            attempt("the bait", lambda: open(self.bait).read())
            attempt("the folder of the bait", lambda: os.listdir(os.path.dirname(self.bait)))
            attempt("the checkout", lambda: os.listdir(self.checkout + "/results"))
            attempt("git", lambda: os.listdir(self.checkout + "/.git"))
            attempt("shadow", lambda: open("/etc/shadow").read())
            attempt("users", lambda: open("/etc/passwd").read())
            for path in ["/proc/self/environ", "/proc/1/environ"]:
                try:
                    text = open(path).read()
                except OSError:
                    continue
                if "bait" in text.lower():
                    print("BREACH", path, text)
            if any("bait" in name.lower() for name in os.environ):
                print("BREACH environment", dict(os.environ))
            for folder in ["~", "~/.ssh", "~/.config", "/home", "/var", "/run", "/mnt", "/opt"]:
                for name in os.listdir(os.path.expanduser(folder)) if os.path.isdir(os.path.expanduser(folder)) else []:
                    print("BREACH", folder, name)
        return job.keep_highest({position: weight.abs() for position, weight in job.weights()})
