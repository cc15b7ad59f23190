"""The vision transformer (Dosovitskiy et al. 2021), with its projections as linear layers that can be pruned.

It computes what torchvision's does, but torchvision packs query, key and value into one tensor that is no layer.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

EPSILON = 1e-6


class Attention(nn.Module):
    """Every token looks at every other, in several heads; (N, tokens, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.softmax = nn.Softmax(dim=-1)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        shares = self.softmax(query @ key.transpose(2, 3) * query.shape[3] ** -0.5)
        out: Tensor = self.output((shares @ value).transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp = nn.Sequential(
            OrderedDict(linear1=nn.Linear(width, hidden), gelu=nn.GELU(), linear2=nn.Linear(hidden, width))
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class VisionTransformer(nn.Module):
    """A picture as a row of square patches, and one token before them that comes to stand for the class."""

    def __init__(self, *, side: int, patch: int, width: int, depth: int, heads: int, classes: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, (side // patch) ** 2 + 1, width).normal_(std=0.02))
        self.blocks = nn.Sequential(*(Block(width, heads, 4 * width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.positions
        logits: Tensor = self.classifier(self.norm(self.blocks(x))[:, 0])
        return logits


def vit_b_16() -> nn.Module:
    """ViT-B/16 for 224x224 images and 1,000 classes: 86,567,656 parameters."""
    return VisionTransformer(side=224, patch=16, width=768, depth=12, heads=12, classes=1000)


RENAMED = (
    (r"^class_token$", "token"),
    (r"^encoder\.pos_embedding$", "positions"),
    (r"^conv_proj\.", "patches."),
    (r"^heads\.head\.", "classifier."),
    (r"^encoder\.ln\.", "norm."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_([12])\.", r".norm\1."),
    (r"\.mlp\.0\.", ".mlp.linear1."),
    (r"\.mlp\.3\.", ".mlp.linear2."),
    (r"\.self_attention\.out_proj\.", ".attention.output."),
)


def from_torchvision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of torchvision's vision transformer as that of this one."""
    converted: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)  # noqa: PLW2901 (one renaming after another)
        before, packed, kind = name.partition(".self_attention.in_proj_")
        if packed:
            parts = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
            converted |= {f"{before}.attention.{part}.{kind}": content for part, content in parts}
        else:
            converted[name] = tensor
    return converted
