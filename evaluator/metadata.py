"""What a contributor says about a method: `metadata.yaml`, its schema, and what of it is functional.

The facets are those of the survey of Cheng, Zhang and Shi (2023, arXiv 2308.06767). `espalier check --schema` prints the
JSON Schema for editors. No PyTorch here.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from evaluator.canonical import digest, digest_bytes
from evaluator.errors import SubmissionError
from evaluator.grid.cells import Division, Track
from evaluator.records.record import DENSE
from evaluator.source import without_docstrings

CONTRACT = 1
"""Version of the contract between the evaluator and a method."""
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""By which all metadata are read: the two of PyYAML disagree on a few texts."""

Text = Annotated[str, Field(min_length=1, max_length=200)]


def _not_reserved(slug: str) -> str:
    if slug == DENSE:
        raise ValueError(f"{DENSE!r} stands for the dense control; choose another")
    return slug


SLUG = r"[a-z0-9][a-z0-9-]{0,38}[a-z0-9]"
Slug = Annotated[str, Field(pattern=f"^{SLUG}$"), AfterValidator(_not_reserved)]
Link = Annotated[str, Field(pattern=r"^https://[^\s<>\"']+$", max_length=300)]
LARGEST = 256 * 1024
"""Bytes of all files of a submission together."""
Value = bool | int | float | str


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Paper(Part):
    """Where the method was published; at least one of arxiv, doi and url."""

    title: Annotated[Text, Field(description="of the paper, in full")]
    venue: Annotated[str, Field(max_length=120, description="where and when it appeared, e.g. NeurIPS 2015")] = ""
    arxiv: Annotated[
        str | None,
        Field(
            pattern=r"^\d{4}\.\d{4,5}$|^[a-z-]+(\.[A-Z]{2})?/\d{7}$", description='arXiv number in quotes, e.g. "1506.02626"'
        ),
    ] = None
    doi: Annotated[str | None, Field(pattern=r"^10\.\d{4,9}/[^\s<>\"']+$", description="DOI, from 10. on")] = None
    url: Annotated[Link | None, Field(description="https address, where there is neither of the two")] = None

    @model_validator(mode="after")
    def _findable(self) -> Paper:
        if not (self.arxiv or self.doi or self.url):
            raise ValueError("give one of arxiv, doi and url, so that readers find the paper")
        return self

    @property
    def link(self) -> str:
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else str(self.url)


class Facets(Part):
    """The survey's taxonomy."""

    criterion: Annotated[
        Literal[
            "random", "magnitude", "norm", "saliency", "loss-change", "second-order", "activation", "geometric",
            "reconstruction", "learned",
        ],
        Field(description="what a weight's importance is judged by"),
    ]  # fmt: skip
    scope: Annotated[
        Literal["global", "layer", "row", "group", "given"],
        Field(description="where weights compete; given: within layers of densities that a rule sets"),
    ]
    schedule: Annotated[
        Literal["one-shot", "iterative", "gradual", "continuous"], Field(description="in how many steps weights go")
    ] = "one-shot"
    data_use: Annotated[
        Literal["none", "calibration", "train"], Field(description="calibration: a sample of the data; train: all of it")
    ]
    supervision: Annotated[Literal["none", "labels"], Field(description="whether labels are used")]
    weight_update: Annotated[
        Literal["none", "reconstruction", "training"], Field(description="how kept weights change while others go")
    ] = "none"
    learned_by: Annotated[
        Literal["none", "regularisation", "dynamic-sparse", "meta", "reinforcement", "search"],
        Field(description="how the mask is learned, where it is"),
    ] = "none"
    fusion: Annotated[
        Literal["none", "quantisation", "decomposition", "architecture-search", "distillation"],
        Field(description="what pruning is combined with"),
    ] = "none"


class Needs(Part):
    """What the method asks of the evaluator: its ``Job`` refuses the rest."""

    data: Annotated[bool, Field(description="reads training or validation images")]
    labels: Annotated[bool, Field(description="reads their labels")]
    gradients: Annotated[
        bool,
        Field(
            description="takes gradients of the loss on true labels, by job.loss... or in job.train; needs data and labels"
        ),
    ]
    training_epochs: Annotated[
        float, Field(ge=0, description="epochs of training that the method itself asks for; a track's budget may be less")
    ] = 0


class Reported(Part):
    """A number of the paper, shown as reported and never ranked."""

    dataset: Annotated[Text, Field(description="e.g. CIFAR-10")]
    architecture: Annotated[Text, Field(description="e.g. ResNet-56")]
    metric: Annotated[
        Literal["top-1", "top-5", "drop", "perplexity", "exact match", "F1"],
        Field(description="in percent, but for perplexity; drop is in points, against dense"),
    ]
    value: Annotated[float, Field(description="the number as printed")]
    compression: Annotated[float | None, Field(ge=1, description="at which compression, 4 for one quarter left")] = None
    speedup: Annotated[float | None, Field(ge=1, description="at which theoretical speedup")] = None
    source: Annotated[str, Field(min_length=1, max_length=120, description="table or figure")]


class Metadata(Part):
    """The whole of `metadata.yaml`."""

    contract: Annotated[Literal[1], Field(description="version of the contract that the code is written for")]
    slug: Annotated[Slug, Field(description="equals the folder's name")]
    title: Annotated[Text, Field(description="as it appears in tables and charts")]
    summary: Annotated[str, Field(min_length=20, max_length=1200, description="the idea in a few sentences")]
    authors: Annotated[list[Text], Field(min_length=1, max_length=40, description="of the submission")]
    year: Annotated[int, Field(ge=1980, le=2100, description="of the paper")]
    paper: Annotated[Paper, Field(description="where the method was published")]
    licence: Annotated[str, Field(min_length=2, max_length=60, description="SPDX identifier of the submission's code")]
    division: Annotated[Division, Field(description="what is removed: single weights, n of m neighbours, whole channels")]
    stage: Annotated[Literal["before", "during", "after"], Field(description="when it prunes, relative to dense training")]
    facets: Annotated[Facets, Field(description="the survey's taxonomy")]
    needs: Annotated[Needs, Field(description="what the method asks of the evaluator")]
    hyperparameters: Annotated[dict[str, Value], Field(description="one set for every cell")] = {}
    deviations: Annotated[list[Annotated[str, Field(max_length=600)]], Field(description="from the paper")] = []
    reported: Annotated[
        list[Reported], Field(description="numbers that were printed elsewhere, shown and never ranked")
    ] = []

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Tracks open to the method: by the stage at which it prunes, and whether it trains."""
        match self.stage:
            case "before":
                return ("at-init",)
            case "during":
                return ("sparse-training",)
            case "after":
                return ("iterative",) if self.needs.training_epochs else ("post-training", "one-shot")

    def functional(self) -> dict[str, Any]:
        """What can change a figure; a new title, author or facet cannot."""
        return self.model_dump(mode="json", include={"contract", "division", "stage", "needs", "hyperparameters"})


class Submission(BaseModel):
    """A folder under `submissions/`: its metadata and its code as text. The code is never imported here."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    metadata: Metadata
    code: str

    @property
    def slug(self) -> str:
        return self.metadata.slug

    @property
    def digest(self) -> str:
        """SHA-256 over the code, whatever its docstrings say, and the functional metadata; part of every prune key."""
        code = without_docstrings(self.code)
        return digest({"code": digest_bytes(code.encode()), "metadata": self.metadata.functional()})


def load_submission(folder: Path) -> Submission:
    """Read one submission.

    Raises:
        SubmissionError: a file is missing or invalid; the first problem only (`espalier check` lists them all).
    """
    path = folder / "metadata.yaml"
    fix = f"run `espalier check {folder.name}` for every problem at once"
    try:
        content = yaml.load(_text(path), Loader=LOADER)  # noqa: S506 (a safe one)
        metadata = Metadata.model_validate(content)
        code = _text(folder / "method.py")
    except FileNotFoundError as error:
        raise SubmissionError("this file is missing", where=error.filename, fix=fix) from None
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(str(part) for part in problem["loc"])
        raise SubmissionError(f"{field}: {problem['msg']}", where=path, fix=fix) from None
    except (yaml.YAMLError, ValueError, RecursionError, OSError) as error:
        # ValueError: bytes that are not UTF-8, impossible dates, numbers of thousands of digits
        raise SubmissionError(f"unreadable: {error}", where=path, fix=fix) from None
    if metadata.slug != folder.name:
        raise SubmissionError(f"slug {metadata.slug!r} is not the folder's name", where=path, fix=fix)
    return Submission(folder=folder, metadata=metadata, code=code)


def _text(path: Path) -> str:
    """Of a plain file: a link may lead to a secret of this machine, which a message would then quote."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
        raise OSError(f"{path.name} is not a plain file of at most {LARGEST // 1024} kB")
    return path.read_text(encoding="utf-8")
