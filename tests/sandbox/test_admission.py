"""What the scorer lets in: exactly the masks and weights of the network, and nothing that a file can do besides."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor

from evaluator.admission import Artifact, Form, admit
from evaluator.errors import InvalidOutcome

LAYERS = [(0, (4, 3)), (1, (2, 4))]
FORM = Form(LAYERS)
Header = dict[str, Any]


def masks() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {f"mask.{p}": torch.randint(0, 2, shape, generator=generator, dtype=torch.uint8) for p, shape in LAYERS}


def outcome(**changes: Tensor) -> dict[str, Tensor]:
    """The tensors of a good outcome, with some replaced or added; ``mask_0`` stands for ``mask.0``."""
    return {**masks(), **{name.replace("_", "."): value for name, value in changes.items()}}


def written(path: Path, content: bytes) -> Path:
    file = path / "outcome.safetensors"
    file.write_bytes(content)
    return file


def take_apart(content: bytes) -> tuple[Header, bytes]:
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def put_together(header: object, data: bytes, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def test_good_outcome(tmp_path: Path) -> None:
    """Masks as booleans, new weights zero where nothing is kept."""
    new = torch.randn(4, 3)
    artifact = admit(written(tmp_path, save(outcome(weight_0=new))), FORM)
    assert torch.equal(artifact.masks[0], masks()["mask.0"].bool())
    assert torch.equal(artifact.weights[0], new * masks()["mask.0"])
    assert list(artifact.weights) == [0]


def test_written_and_read_again(tmp_path: Path) -> None:
    """Equal artifacts give equal bytes, and come back equal."""
    artifact = admit(written(tmp_path, save(outcome(weight_1=torch.randn(2, 4)))), FORM)
    again = Artifact.load(artifact.save())
    assert again.save() == artifact.save()
    assert again.digest == artifact.digest
    assert admit(written(tmp_path, artifact.save()), FORM).digest == artifact.digest


def test_digest_is_of_the_content() -> None:
    """The order of tensors and the values of weights that are not kept do not count; all else does."""
    mask = torch.tensor([[True, False, True]])
    one, other = torch.tensor([[1.0, 0.0, 3.0]]), torch.tensor([[1.0, 0.0, 3.5]])
    plain = Artifact({0: mask, 1: mask})
    assert Artifact({1: mask, 0: mask}).digest == plain.digest
    assert Artifact({0: mask, 1: mask}, {0: one}).digest == Artifact({0: mask, 1: mask}, {0: one + 0}).digest
    different = [
        Artifact({0: mask}),
        Artifact({0: mask, 1: ~mask}),
        Artifact({0: mask, 1: mask.T}),
        Artifact({0: mask, 1: mask}, {0: one}),
        Artifact({0: mask, 1: mask}, {1: one}),
        Artifact({0: mask, 1: mask}, {0: other}),
    ]
    assert len({plain.digest, *(artifact.digest for artifact in different)}) == len(different) + 1


def test_digest_is_pinned() -> None:
    """Score keys rest on it."""
    artifact = Artifact({0: torch.tensor([[True, False], [True, True]])}, {0: torch.tensor([[1.0, 0.0], [2.0, 3.0]])})
    assert artifact.digest == "1e0ef4eea12c3f20f9dd4fa95dcac323ae1c95a28daf653b99372c4ceddf832a"


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"mask.0": masks()["mask.0"]}, "no mask of layer 1"),
        ({}, "no mask of layer 0"),
        (outcome(mask_2=torch.ones(1, dtype=torch.uint8)), "no mask or weight of this network"),
        (outcome(__class__=torch.ones(1)), "no mask or weight of this network"),
        (outcome(mask_0=torch.full((4, 3), 2, dtype=torch.uint8)), "other values than 0 and 1"),
        (outcome(mask_0=torch.ones(3, 4, dtype=torch.uint8)), r"has shape \[3, 4\]"),
        (outcome(mask_0=torch.ones(12, dtype=torch.uint8)), "has shape"),
        (outcome(mask_0=torch.ones(4, 3, dtype=torch.bool)), "is BOOL, not U8"),
        (outcome(mask_0=torch.ones(4, 3)), "is F32, not U8"),
        (outcome(weight_0=torch.ones(4, 3, dtype=torch.float16)), "is F16, not F32"),
        (outcome(weight_0=torch.full((4, 3), float("nan"))), "NaN or infinity"),
        (outcome(weight_0=torch.full((4, 3), float("inf"))), "NaN or infinity"),
        (outcome(weight_0=torch.ones(2, 4)), "has shape"),
    ],
)
def test_wrong_tensors(tensors: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidOutcome, match=message):
        admit(written(tmp_path, save(tensors)), FORM)


CHANNELS = Form(LAYERS, channels=[4, 2])
TRAINED = Form(LAYERS, state=[(4, 3), (4,)])


def test_channels_and_trained_networks(tmp_path: Path) -> None:
    """Channels stand in place of masks; a trained network in place of new weights."""
    bits = {"channels.0": torch.tensor([1, 0, 1, 1], dtype=torch.uint8), "channels.1": torch.ones(2, dtype=torch.uint8)}
    kept = admit(written(tmp_path, save({**bits, "weight.1": torch.ones(2, 4)})), CHANNELS)
    assert {p: mask.tolist() for p, mask in kept.channels.items()} == {0: [True, False, True, True], 1: [True, True]}
    assert (kept.masks, list(kept.weights)) == ({}, [1])
    state = {"state.0": torch.randn(4, 3), "state.1": torch.randn(4)}
    trained = admit(written(tmp_path, save({**masks(), **state})), TRAINED)
    assert torch.equal(trained.state[1], state["state.1"])
    for artifact in (kept, trained):
        assert Artifact.load(artifact.save()).digest == artifact.digest
    others = [
        Artifact(channels={**kept.channels, 1: torch.tensor([True, False])}, weights=kept.weights),
        Artifact(channels=kept.channels),
        Artifact(trained.masks),
        Artifact(trained.masks, state={**trained.state, 1: torch.zeros(4)}),
    ]
    assert len({kept.digest, trained.digest, *(other.digest for other in others)}) == 6


@pytest.mark.parametrize(
    ("form", "tensors", "message"),
    [
        (CHANNELS, masks(), "no mask or weight of this network"),
        (CHANNELS, {"channels.0": torch.ones(4, dtype=torch.uint8)}, "no mask of channel group 1"),
        (CHANNELS, {"channels.0": torch.ones(4, dtype=torch.uint8), "channels.1": torch.zeros(2, dtype=torch.uint8)},
         "no channel of group 1 is kept"),
        (CHANNELS, {"channels.0": torch.ones(5, dtype=torch.uint8)}, "has shape"),
        (TRAINED, masks(), "no trained tensor 0"),
        (TRAINED, outcome(weight_0=torch.ones(4, 3)), "no mask or weight of this network"),
        (TRAINED, {**masks(), "state.0": torch.ones(4, 3), "state.1": torch.full((4,), float("nan"))}, "NaN or infinity"),
        (FORM, outcome(state_0=torch.ones(4, 3)), "no mask or weight of this network"),
    ],
)  # fmt: skip
def test_wrong_channels_and_states(form: Form, tensors: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidOutcome, match=message):
        admit(written(tmp_path, save(tensors)), form)


def change(name: str, **entries: object) -> Callable[[Header], Header]:
    return lambda header: {**header, name: {**header[name], **entries}}


CHANGES: list[tuple[Callable[[Header], object], str]] = [
    (change("mask.0", data_offsets=[0, 1 << 60]), "another number of bytes"),
    (change("mask.0", data_offsets=[-12, 0]), "no proper place"),
    (change("mask.0", data_offsets=[8, 20]), "overlap or leave a gap"),
    (change("mask.1", data_offsets=[0, 8]), "overlap or leave a gap"),
    (change("mask.1", data_offsets=[13, 21]), "overlap or leave a gap"),
    (change("mask.0", data_offsets=[0]), "no proper place"),
    (change("mask.0", data_offsets=[0.0, 12.0]), "no proper place"),
    (change("mask.0", data_offsets="0,12"), "no proper place"),
    (change("mask.0", data_offsets=[False, 12]), "no proper place"),
    (change("mask.0", shape=[4, 3, 1]), "has shape"),
    (change("mask.0", shape=[4.0, 3.0]), "has shape"),
    (change("mask.0", shape=[1 << 70, 3]), "has shape"),
    (change("mask.0", shape=None), "has shape"),
    (change("mask.0", dtype=["U8"]), "not U8"),
    (change("mask.0", extra=1), "as safetensors do"),
    (lambda header: {**header, "mask.0": None}, "as safetensors do"),
    (lambda header: {**header, "__metadata__": {"a": "b"}}, "no mask or weight"),
    (lambda header: {**header, "x" * 300: 1}, "no mask or weight"),
    (list, "not a mapping"),
    (lambda header: "mask.0", "not a mapping"),
    (lambda header: None, "not a mapping"),
    (lambda header: b"{" + json.dumps(header).encode(), "not JSON"),
    (lambda header: json.dumps(header).encode()[:-1], "not JSON"),
    (lambda header: b"[" * 600, "not JSON"),
    (lambda header: b'{"mask.0": NaN}', "not JSON"),
    (lambda header: b"\xff\xfe{}", "not JSON"),
    (lambda header: b"9" * 500, "not a mapping"),
    (lambda header: json.dumps(header).encode()[:-1] + b', "mask.0": 1}', "twice"),
    (lambda header: json.dumps(header).encode() + b" " * 5000, "bytes"),
    (lambda header: b"", "header has"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_wrong_headers(change: Callable[[Header], object], message: str, tmp_path: Path) -> None:
    header, data = take_apart(save(masks()))
    with pytest.raises(InvalidOutcome, match=message):
        admit(written(tmp_path, put_together(change(header), data)), FORM)


@pytest.mark.parametrize("length", [0, 1 << 20, 1 << 40, (1 << 64) - 1])
def test_wrong_header_lengths(length: int, tmp_path: Path) -> None:
    header, data = take_apart(save(masks()))
    with pytest.raises(InvalidOutcome, match="header has"):
        admit(written(tmp_path, put_together(header, data, length)), FORM)


@pytest.mark.parametrize("extra", [b"x", b"x" * 100])
def test_bytes_behind_the_tensors(extra: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidOutcome, match="follow the header"):
        admit(written(tmp_path, save(masks()) + extra), FORM)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    content = save(masks())
    for length in range(len(content)):
        with pytest.raises(InvalidOutcome):
            admit(written(tmp_path, content[:length]), FORM)


def test_a_file_beyond_need_is_not_read(tmp_path: Path) -> None:
    """A terabyte of nothing takes no disk to write; it must not take memory to refuse."""
    file = tmp_path / "sparse"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(InvalidOutcome, match="it can have"):
        admit(file, FORM)


def link(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(save(masks()))
    path.symlink_to(target)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [link, device, os.mkfifo, Path.mkdir, lambda path: None])
def test_not_a_plain_file(make: Callable[[Path], object], tmp_path: Path) -> None:
    """Links, even to good outcomes, pipes (without waiting), folders, nothing at all."""
    make(tmp_path / "outcome")
    with pytest.raises(InvalidOutcome, match="plain file"):
        admit(tmp_path / "outcome", FORM)


def accepted(path: Path, content: bytes) -> None:
    """Refused, or read as the library reads it."""
    try:
        artifact = admit(written(path, content), FORM)
    except InvalidOutcome:
        return
    expected = load(content)
    for position, mask in artifact.masks.items():
        assert torch.equal(mask, expected[f"mask.{position}"].bool())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutations(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any few bytes changed, inserted or cut: refused with our error, or read as it is."""
    content = bytearray(save(outcome(weight_0=torch.ones(4, 3))))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(0, 3))
        content[place : place + length] = data.draw(st.binary(max_size=3))
    accepted(tmp_path_factory.getbasetemp(), bytes(content))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["U8", "F32", "BOOL"]) | JSON_VALUES,
        "shape": st.sampled_from([[4, 3], [2, 4]]) | JSON_VALUES,
        "data_offsets": st.lists(st.integers(-5, 80), max_size=3) | JSON_VALUES,
    },
)


@settings(max_examples=150, deadline=None)
@given(
    header=st.dictionaries(st.sampled_from(["mask.0", "mask.1", "weight.0", "mask.2"]), ENTRIES | JSON_VALUES) | JSON_VALUES,
    data=st.binary(max_size=80),
)
def test_made_up_headers(tmp_path_factory: pytest.TempPathFactory, header: object, data: bytes) -> None:
    """Whatever JSON comes, the answer is our error or an outcome."""
    accepted(tmp_path_factory.getbasetemp(), put_together(header, data))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_noise(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    accepted(tmp_path_factory.getbasetemp(), content)
