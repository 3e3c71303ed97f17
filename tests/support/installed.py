"""Packages as pip leaves them, made in a moment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def install(
    site: Path,
    name: str,
    content: Mapping[str, str | None],
    needs: Sequence[str] = (),
    editable: Path | None = None,
) -> None:
    """Makes a distribution of version 1.0.

    Args:
        site: Its `site-packages`.
        name: As its folders are named.
        content: Text by path in the record; None for a file that is not made.
        needs: Requirements.
        editable: Directory of its source, if it is installed in editable mode.
    """
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    metadata = [f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {one}" for one in needs)]
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *metadata]) + "\n")
    paths = [*content, f"{info.name}/METADATA", f"{info.name}/RECORD"]
    if editable is not None:
        origin = {"url": editable.as_uri(), "dir_info": {"editable": True}}
        (info / "direct_url.json").write_text(json.dumps(origin))
    for path, text in content.items():
        if text is not None:
            file = site / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in paths))
