"""`espalier promote`: publish what this machine has measured."""

from __future__ import annotations

from collections import Counter

from evaluator.commands.options import Benchmarks, Json, Key, RecipeName, Root, Slugs, Tier, published_store, select
from evaluator.promotion import promote as copy_records
from evaluator.terminal import out, print_json, safe


def promote(
    slugs: Slugs = None,
    tier: Tier = None,
    benchmark: Benchmarks = None,
    recipe: RecipeName = None,
    sign_with: Key = None,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Copy records from the local store to results/: those that are fresh, from a sandbox, and from the tier's device."""
    selected = select(root, slugs, tier, benchmark, recipe=recipe, stress=True)
    published = published_store(selected.repository, sign_with)
    records = copy_records(selected.repository, selected.grid, selected.submissions, selected.selection, published)
    counts = Counter(record.submission for record in records)
    if as_json:
        print_json({"promoted": dict(counts), "store": str(selected.repository.published)})
    elif not records:
        out.print("nothing to promote: what is measured here is published, stale, or not to be published")
    else:
        for slug, number in sorted(counts.items()):
            out.print(f"{safe(slug)}: {number} records")
