"""The networks compute what their papers, or torchvision, say."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from evaluator.networks import ARCHITECTURES, prunable_layers
from evaluator.networks.vit import VisionTransformer, from_torchvision, vit_b_16
from tests.miniature import ROOT

SMALL = sorted(name for name, kind in ARCHITECTURES.items() if kind.shape[1] < 64)


@pytest.mark.parametrize("name", SMALL)
def test_a_network_gives_finite_logits_and_gradients_everywhere(name: str) -> None:
    kind = ARCHITECTURES[name]
    torch.manual_seed(0)
    model = kind.build()
    logits = model(torch.randn(4, *kind.shape))
    classes = 100 if name in ("resnet-56-100", "vgg-19-bn-100") else 10
    assert logits.shape == (4, classes)
    gradients = torch.autograd.grad(logits.square().mean(), list(model.parameters()))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert 0.01 < float(logits.detach().std()) < 100


def test_the_vision_transformer_is_torchvisions() -> None:
    from torchvision import models

    torch.manual_seed(0)
    theirs = models.vit_b_16()
    for parameter in (theirs.heads.head.weight, theirs.class_token):
        nn.init.normal_(parameter, std=0.05)  # torchvision begins with zeros, which would hide a mistake
    ours = vit_b_16()
    ours.load_state_dict(from_torchvision(theirs.state_dict()))
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        expected, found = theirs.eval()(images), ours.eval()(images)
    assert float(expected.std()) > 0.1
    assert torch.allclose(found, expected, atol=1e-4, rtol=0)


def test_every_projection_of_a_transformer_can_be_pruned() -> None:
    model = VisionTransformer(side=16, patch=8, width=8, depth=1, heads=2, classes=3)
    assert [name for name, _ in prunable_layers(model, "classifier")] == [
        "patches",
        *(f"blocks.0.attention.{part}" for part in ("query", "key", "value", "output")),
        *(f"blocks.0.mlp.linear{number}" for number in (1, 2)),
    ]


def test_torchvision_is_imported_only_for_its_networks() -> None:
    code = "import sys, evaluator.networks; sys.exit('torchvision' in sys.modules)"
    subprocess.run([sys.executable, "-P", "-c", code], check=True, cwd=ROOT)
