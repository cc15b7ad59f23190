"""What `espalier check` says about method.py, found by reading it."""

from __future__ import annotations

import pytest

from evaluator.check.names import OF_THE_JOB
from evaluator.job import Goal
from tests.check.samples import METADATA, METHOD, changed, found, problems
from tests.submissions.specimens import job, network

IMPORT = "import torch\n"
LAST = "        return job.keep_highest({i: (w * gradients[i]).abs() for i, w in job.weights()})\n"


@pytest.mark.parametrize(
    ("old", "new", "severity", "line", "code"),
    [
        (IMPORT, "import os\n", "error", 3, "import"),
        (IMPORT, "import torch, subprocess as s\n", "error", 3, "import"),
        (IMPORT, "from socket import socket\n", "error", 3, "import"),
        (IMPORT, "from . import neighbour\n", "error", 3, "import"),
        (IMPORT, "from evaluator.records import Record\n", "error", 3, "import"),
        (IMPORT, "from evaluator import contract\n", "error", 3, "import"),
        (IMPORT, "from math import *\n", "error", 3, "import-star"),
        (IMPORT, "import torch.hub\n", "error", 3, "refused-use"),
        (IMPORT, "from torch import load\n", "error", 3, "refused-use"),
        (IMPORT, "from torch.utils import cpp_extension\n", "error", 3, "refused-use"),
        (IMPORT, "import numpy as np\nx = np.load('a')\n", "error", 4, "refused-use"),
        (IMPORT, "import torch as t\nx = t.ops.load_library('a')\n", "error", 4, "refused-use"),
        (LAST, "        import ctypes\n" + LAST, "error", 16, "import"),
        (LAST, "        open('/etc/passwd')\n" + LAST, "error", 16, "forbidden-name"),
        (LAST, "        eval('1')\n" + LAST, "error", 16, "forbidden-name"),
        (LAST, "        f = exec\n" + LAST, "error", 16, "forbidden-name"),
        (LAST, "        \u212fxec('1')\n" + LAST, "error", 16, "forbidden-name"),
        (LAST, "        __import__('os')\n" + LAST, "error", 16, "forbidden-name"),
        (LAST, "        print(().__class__.__bases__)\n" + LAST, "error", 16, "introspection"),
        (LAST, f"        x = {list(range(300))}\n" + LAST, "error", 16, "embedded-data"),
        (LAST, f"        x = '{'x' * 3000}'\n" + LAST, "error", 16, "embedded-data"),
        (LAST, f"        x = b'{'x' * 300}'\n" + LAST, "error", 16, "embedded-data"),
        ('"""A sample."""', "# -*- coding: utf-7 -*-", "error", 1, "encoding"),
        (LAST, "        return (\n", "error", 16, "syntax"),
        ("class Sample(PruningMethod)", "class Sample", "error", 1, "no-method"),
        (LAST, LAST + "\n\nclass Other(Sample):\n    pass\n", "error", 19, "many-methods"),
        ('    """Keep the weights of largest |w g|."""\n', "", "error", 8, "no-docstring"),
        ("def prune(", "def prunes(", "error", 8, "no-prune"),
        ("def prune(self, job: Job)", "def prune(self, job: Job, extra)", "error", 13, "prune-signature"),
        ("def prune(self, job: Job)", "def prune(self)", "error", 13, "prune-signature"),
        ("def prune(self, job: Job)", "def prune(self, job: Job, *, extra)", "error", 13, "prune-signature"),
        ("    def prune(", "    async def prune(", "error", 13, "prune-signature"),
        ("    def prune(", "    @torch.no_grad()\n    def prune(", "error", 14, "prune-signature"),
        ("    batch_size: int\n", "", "error", 8, "undeclared-hyperparameter"),
        ("    batch_size: int\n", "    batch_size: int\n    extra: float\n", "error", 12, "undeclared-hyperparameter"),
        ("    batch_size: int\n", "    batch_size: int = 64\n", "warning", 11, "hidden-hyperparameter"),
        ("    batch_size: int\n", "    batch_size: int\n    factor = 0.3\n", "warning", 12, "hidden-hyperparameter"),
        ("self.batch_size", "64", "warning", 11, "unused-hyperparameter"),
        (LAST, LAST + "\n" * 700, "warning", 1, "long"),
        (LAST, "        batch\n" * 120 + LAST, "warning", 1, "many-lines"),
        ("Keep the weights of largest", "TODO of largest", "warning", 9, "placeholder"),
        ("    def prune(", "    def __init__(self, **h):\n        pass\n\n    def prune(", "warning", 13, "own-init"),
        (LAST, "        torch.manual_seed(0)\n" + LAST, "warning", 16, "own-randomness"),
        (LAST, "        torch.rand(3)\n" + LAST, "warning", 16, "own-randomness"),
        (LAST, "        batch[0].normal_()\n" + LAST, "warning", 16, "own-randomness"),
        (LAST, "        torch.Generator()\n" + LAST, "warning", 16, "own-randomness"),
        (LAST, "        torch.rand(3, device=job.device, generator=job.generator)\n", "warning", 16, "generator-device"),
        (LAST, "        job.keep_channels({})\n" + LAST, "error", 16, "division"),
        (LAST, "        job.keep_n_of_m({})\n" + LAST, "error", 16, "division"),
        (LAST, "        print(self.alpha)\n" + LAST, "error", 16, "undeclared-hyperparameter"),
        (LAST, "        torch.optim.SGD(job.model.parameters())\n" + LAST, "warning", 16, "own-training"),
        (LAST, "        x = nowhere\n" + LAST, "error", 16, "undefined-name"),
        (IMPORT, "x = torch.pi\n", "error", 3, "undefined-name"),
        (LAST, "        job.visit_input(batch, print)\n" + LAST, "error", 16, "unknown-part"),
        (LAST, LAST + "\n\ndef scores(work: Job):\n    return work.weight()\n", "error", 20, "unknown-part"),
        (LAST, "        job._training.used = 0\n" + LAST, "error", 16, "private"),
        (LAST, "        job.layers()[0]._position = 1\n" + LAST, "error", 16, "private"),
        (LAST, "        import copy as job\n        job._training.used = 0\n" + LAST, "error", 17, "private"),
        (LAST, "        getattr(job, '_training').used = 0\n" + LAST, "error", 16, "forbidden-name"),
        (LAST, "        setattr(job, 'epochs', 99)\n" + LAST, "error", 16, "forbidden-name"),
        (LAST, "        vars(job)['_training'].used = 0\n" + LAST, "error", 16, "forbidden-name"),
        (LAST, "        getattr = getattr\n" + LAST, "error", 16, "forbidden-name"),
        (LAST, "        list(map(getattr, [job], ['_training']))\n" + LAST, "error", 16, "forbidden-name"),
        (LAST, "        job.__dict__['_training'].used = 0\n" + LAST, "error", 16, "introspection"),
        (LAST, "        words = self.__doc__\n" + LAST, "error", 16, "introspection"),
        (LAST, "        words = __doc__\n" + LAST, "error", 16, "forbidden-name"),
        (LAST, "        def unused(__doc__): ...\n        words = __doc__\n" + LAST, "error", 17, "forbidden-name"),
        (LAST, "        job.__getstate__()['_training'].used = 0\n" + LAST, "error", 16, "introspection"),
        (LAST, "        object.__setattr__(job, '_training', 0)\n" + LAST, "error", 16, "introspection"),
        (LAST, "        job.train.__self__\n" + LAST, "error", 16, "introspection"),
        (
            LAST,
            "        match job:\n            case Job(_training=t):\n                t.used = 0\n" + LAST,
            "error",
            17,
            "private",
        ),
        (IMPORT, "from operator import attrgetter\n", "error", 3, "refused-use"),
        (IMPORT, "import operator as o\nf = o.methodcaller('__getstate__')\n", "error", 4, "refused-use"),
        (IMPORT, "import operator\no = operator\nf = o.attrgetter('_training')\n", "error", 5, "introspection"),
        (IMPORT, "import string\nf = string.Formatter().get_field\n", "error", 4, "introspection"),
        (IMPORT, "import torch\nm = torch.sys.modules\n", "error", 4, "introspection"),
        (IMPORT, "import torch\nt = torch\nm = t.sys.modules\n", "error", 5, "introspection"),
        (IMPORT, "from copy import sys\n", "error", 3, "import"),
        (IMPORT, "import evaluator.contract\nt = evaluator.training.train\n", "error", 4, "refused-use"),
        (IMPORT, "from torch import optim\n", "warning", 3, "own-training"),
        (IMPORT, "from torch.optim import Adam\n", "warning", 3, "own-training"),
        (IMPORT, "import torch.optim\n", "warning", 3, "own-training"),
        (IMPORT, "from torch import randn_like\nx = randn_like(1)\n", "warning", 4, "own-randomness"),
        (LAST, "        if job.density < 0.05:\n            pass\n" + LAST, "warning", 16, "per-cell"),
        (LAST, "        if len(job.layers()) == 20:\n            pass\n" + LAST, "warning", 16, "per-cell"),
        (LAST, "        names = job.model.named_modules()\n" + LAST, "warning", 16, "per-cell"),
    ],
)
def test_faults_of_the_code(tmp_path, old, new, severity, line, code):
    result = found(tmp_path, METADATA, changed(METHOD, old, new))
    assert ("method.py", severity, line, code) in result


def test_a_hyper_parameter_that_is_misspelt_on_one_side_is_one_problem(tmp_path):
    (problem,) = problems(tmp_path, METADATA.replace("batch_size:", "batchsize:"), METHOD)
    assert "'batchsize' of metadata.yaml is not declared" in problem.message
    assert problem.fix.startswith("did you mean batch_size?")
    assert METHOD.splitlines()[problem.line - 1].strip() == "batch_size: int"


def test_a_part_of_the_job_that_is_misspelt_is_one_problem(tmp_path):
    """Not, for example, that the data which the metadata ask for are never used."""
    (problem,) = problems(tmp_path, METADATA, METHOD.replace("job.train_batches", "job.train_batch"))
    assert problem.message == "the job has no 'train_batch'"
    assert problem.fix.startswith("did you mean train_batches")


def test_parts_of_the_job_are_those_that_it_has():
    work = job(network("plain"), Goal(speedup=2))
    assert set(OF_THE_JOB) == {name for name in (*dir(type(work)), *vars(work)) if not name.startswith("_")}


@pytest.mark.parametrize(
    "new",
    [
        "        torch.rand(3, generator=job.generator)\n",
        "        torch.rand(3, device='cpu', generator=job.generator).to(job.device)\n",
        "        batch[0].normal_(generator=job.generator)\n",
        "        self.alpha = 3\n        print(self.alpha, self.prune, self.__module__)\n",
        "        job.keep_channels({}, speedup=2)\n",
        "        for input in [1]:\n            print(input)\n",
        "        if job.keep == 0:\n            pass\n",
        "        super().__init__()\n",
        "        x = torch.linalg.cholesky(torch.eye(3))\n",
        "        λ = 0.5\n",
        "        inplace = hasattr(job.model, 'inplace') and job.model.inplace\n",
        "        self._norms = {}\n        print(self._norms, torch._foreach_norm([]))\n",
    ],
)
def test_what_is_fine_is_left_alone(tmp_path, new):
    assert problems(tmp_path, METADATA, changed(METHOD, LAST, new + LAST)) == []


@pytest.mark.parametrize(
    "head",
    [
        "import evaluator.contract as c\n\n\nclass Sample(c.PruningMethod):",
        "from evaluator.contract import PruningMethod as Base\n\n\nclass Sample(Base):",
    ],
)
def test_the_class_is_found_under_any_name_of_its_base(tmp_path, head):
    method = head + '\n    """A sample."""\n\n    batch_size: int\n\n    def prune(self, job):\n'
    method += "        (batch,) = job.train_batches(1, self.batch_size)\n        return job.loss_and_gradients(batch)\n"
    assert problems(tmp_path, METADATA, method) == []


@pytest.mark.parametrize(
    ("old", "new", "severity"),
    [
        ("  data: true", "  data: false", "error"),
        ("  gradients: true", "  gradients: false", "error"),
    ],
)
def test_needs_are_those_of_the_code(tmp_path, old, new, severity):
    result = found(tmp_path, changed(METADATA, old, new))
    assert any(entry[0] == "method.py" and entry[1] == severity and entry[3] == "needs" for entry in result)


@pytest.mark.parametrize(
    ("division", "told"),
    [
        ("structured", "use job.keep_channels, or set division: unstructured in metadata.yaml"),
        ("semi-structured", None),  # it may be a step on the way
    ],
)
def test_outcomes_are_those_of_the_division(tmp_path, division, told):
    found = problems(tmp_path, changed(METADATA, "division: unstructured", f"division: {division}"), METHOD)
    assert [(p.line, p.code, p.fix) for p in found] == ([(16, "division", told)] if told else [])
    way = changed(METHOD, "for i, w in job.weights()})", "for i, w in job.weights()}, keep=9)")
    assert problems(tmp_path, changed(METADATA, "division: unstructured", f"division: {division}"), way) == []


def test_what_a_class_inherits_from_elsewhere_is_not_missed(tmp_path):
    method = changed(METHOD, "(PruningMethod)", "(torch.Size, PruningMethod)")
    assert problems(tmp_path, METADATA, changed(method, LAST, "        print(self.numel)\n" + LAST)) == []


def test_the_self_of_another_class_is_another(tmp_path):
    inner = "        class Twice(torch.nn.Module):\n            def forward(self):\n                return self.training\n"
    assert problems(tmp_path, METADATA, changed(METHOD, LAST, inner + LAST)) == []


def test_values_and_functions_of_a_class_are_declared(tmp_path):
    method = changed(METHOD, "    batch_size: int\n", "    batch_size: int\n    kinds = ('a', 'b')\n")
    method += "\n    @property\n    def both(self):\n        return self.kinds, self.helper\n"
    assert problems(tmp_path, METADATA, method + "\n    def helper(self):\n        return self.both\n") == []


@pytest.mark.parametrize(("name", "size"), [("rand", "w.shape"), ("randn", "w.shape"), ("randint", "high, w.shape")])
def test_what_draws_on_the_device_of_its_argument_has_a_remedy_that_runs(tmp_path, name, size):
    code = changed(METHOD, LAST, f"        torch.{name}_like(batch[0])\n" + LAST)
    (problem,) = problems(tmp_path, METADATA, code)
    assert f"torch.{name}({size}, generator=job.generator).to(w)" in problem.fix
    mended = f"        w, high = batch[0], 3\n        {problem.fix.partition(': ')[2]}\n"
    assert problems(tmp_path, METADATA, changed(METHOD, LAST, mended + LAST)) == []


def test_gradients_that_read_no_true_label_need_none(tmp_path):
    """The remedy of both complaints about a method that draws its labels from the network itself."""
    unlabelled = changed(changed(METADATA, "supervision: labels", "supervision: none"), "  labels: true", "  labels: false")
    (problem,) = problems(tmp_path, unlabelled)
    assert problem.fix.endswith("where no true label is read, needs.gradients: false and torch.autograd.grad")
    drawn = "_, gradients = None, torch.autograd.grad(job.model(batch[0]).sum(), [l.parameter for l in job.layers()])"
    method = changed(METHOD, "_, gradients = job.loss_and_gradients(batch)", drawn)
    assert problems(tmp_path, changed(unlabelled, "  gradients: true", "  gradients: false"), method) == []


def test_training_needs_epochs_and_a_network_in_training_mode_needs_none(tmp_path):
    trains = changed(METHOD, "        _, gradients", "        job.train(job.epochs)\n        _, gradients")
    assert ("method.py", "error", 15, "needs") in found(tmp_path, METADATA, trains)
    epochs = changed(METADATA, "  gradients: true", "  gradients: true\n  training_epochs: 200")
    assert problems(tmp_path, epochs, trains) == []
    mode = changed(METHOD, "        _, gradients", "        job.model.train()\n        _, gradients")
    assert problems(tmp_path, METADATA, mode) == []


@pytest.mark.parametrize(
    "step", ["w.sub_(0.1 * gradients[i])", "w -= 0.1 * gradients[i]", "w.add_(gradients[i], alpha=-0.1)"]
)
def test_a_loop_of_its_own_beside_the_training_that_is_counted(tmp_path, step):
    epochs = changed(METADATA, "  gradients: true", "  gradients: true\n  training_epochs: 200")
    loop = f"        job.train(1)\n        for i, w in job.weights():\n            {step}\n{LAST}"
    assert ("method.py", "warning", 15, "own-training") in found(tmp_path, epochs, changed(METHOD, LAST, loop))


def test_needs_that_the_code_does_not_use_are_pointed_out(tmp_path):
    method = changed(METHOD, "job.loss_and_gradients(batch)", "None, dict(job.weights())")
    assert ("method.py", "warning", 1, "needs") in found(tmp_path, METADATA, method)


@pytest.mark.parametrize(
    "code",
    [
        "(" * 50000, "x" + ".a" * 60000, "-" * 100000 + "1", "1+" * 60000 + "1", "f" + "()" * 60000, "9" * 100000,
        "lambda:" * 30000 + "0", "if a: 1\n" + "elif a: 1\n" * 9000, "a<" * 60000 + "a", "@a\n" * 40000 + "class X: 1",
        changed(METHOD, LAST, "        self" + ".a" * 700 + "\n" + LAST), "\0", "\\", "def",
        "class A(PruningMethod):\n  def prune", "x: " + "a." * 900 + "b", "\f" * 10,
    ],
)  # fmt: skip
def test_code_that_is_meant_to_break_a_reader(tmp_path, code):
    assert any(problem.severity == "error" for problem in problems(tmp_path, METADATA, code))
