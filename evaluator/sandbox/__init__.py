"""Where contributed code runs: one interface, two back-ends, and no way out but tensors and one line of text.

Reading order: ``spec`` (what goes in and comes out), ``session`` (the coordinator's loop), ``bubblewrap`` and ``none``
(the walls), ``process`` and ``watchdog`` (the coordinator's hands and eyes); inside: ``child``, ``zygote``, ``task``,
``collect``. Importing this package does not import PyTorch.
"""

from evaluator.sandbox.pycache import warm_pycache
from evaluator.sandbox.session import Sandbox, available, open_sandbox, require
from evaluator.sandbox.spec import Allowance, Kind, Outcome, Spec, Task

__all__ = ["Allowance", "Kind", "Outcome", "Sandbox", "Spec", "Task", "available", "open_sandbox", "require", "warm_pycache"]
