"""No sandbox: a child process with limits and an empty environment, which sees all that its user sees.

For one's own methods, where bubblewrap is not to be had. A hostile method would not be held by this, and the published
site refuses records made so.
"""

from __future__ import annotations

from pathlib import Path

from evaluator.sandbox.given import given_folder
from evaluator.sandbox.layout import PACKAGE, Launch, Layout, configuration, environment, python_command, stage
from evaluator.sandbox.spec import Spec


def launch(spec: Spec, home: Path) -> Launch:
    output, scratch = home / "output", home / "tmp"
    for folder in (output, scratch):
        folder.mkdir()
    layout = Layout(
        code=PACKAGE.parent,
        method=stage(spec, home),
        train=(spec.visible / "train.safetensors").resolve(),
        validation=(spec.visible / "validation.safetensors").resolve(),
        given=given_folder(home).resolve(),
        output=output,
        scratch=(scratch,),
        pycache=spec.pycache.resolve(),
    )
    places = environment(scratch, spec.gpu, device=spec.device)
    return Launch(python_command(layout), places, configuration(spec, layout, uid=None), wrapped=False)
