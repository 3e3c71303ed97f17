"""`covalent-awsbatch report` of dispatches of a real Covalent server, with the embedded AWS."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import covalent as ct
import pytest

ASKED = 0.5
"""GB, as the fixture's server is configured."""


@ct.electron(executor="awsbatch")
def holds(megabytes: int) -> int:
    return len(b"x" * megabytes * 2**20)


@ct.lattice(executor="local", workflow_executor="local")
def holding(megabytes: int, name: str) -> int:  # noqa: ARG001
    return holds(megabytes)  # type: ignore[no-any-return]


class Resources(HTMLParser):
    """What a page would load, and where it links to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in {"script", "link", "img", "iframe", "object", "embed", "base", "form", "video", "audio", "source"}:
            self.loaded.append(tag)
        self.loaded += [values[name] for name in ("src", "srcset", "background", "action") if name in values]
        self.links += [values["href"]] if "href" in values else []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def asked_for(asked: Any, *arguments: str) -> str:
    done = asked.command("report", *arguments)
    assert done.returncode == 0, done.stderr
    return Path(asked.server.home, done.stdout.strip()).read_text(encoding="utf-8")


def test_a_page_says_when_what_ran_and_loads_nothing(asked: Any, ended: str, tmp_path: Path) -> None:
    page = asked_for(asked, ended[:8], "-o", str(tmp_path / "run.html"))
    seen = Resources(page)
    assert not seen.loaded
    assert not seen.links, "the embedded AWS has no console"
    assert not re.search(r"url\(|@import|https?://", page)
    assert "Content-Security-Policy" in page
    text = " ".join(seen.texts)
    for wanted in (ended, "FAILED", "fails[0]", "runs[3]", "fails raised KeyError: 'rate 0.5'", "1, 1"):
        assert wanted in text, wanted
    assert f"covalent-awsbatch why {ended}" in text
    lane = page[page.index("<span>fails[0]</span>") :].partition('<div class="lane">')[0]
    kinds = re.findall(r'<i class="(\w+)"', lane)
    assert kinds.count("failed") == 2, "there were two attempts"
    assert kinds[0] == "prepared"


def test_memory_that_a_job_took_is_beside_what_it_asked_for(asked: Any, tmp_path: Path) -> None:
    name = "<script>alert(1)</script>\x1b"
    dispatch_id = asked.client.dispatch(holding, 200, name)
    asked.client.completed(dispatch_id)
    mine = {"vcpu_hour": 1000, "gb_hour": 0}
    table = tmp_path / "prices.json"
    table.write_text(json.dumps({"currency": "Taler", "EC2": mine, "FARGATE": mine}), encoding="utf-8")
    page = asked_for(asked, dispatch_id, "--prices", str(table))
    assert (asked.server.home / f"report-{dispatch_id[:8]}.html").is_file()
    (row,) = re.findall(r"<tr><td>holds</td>(.*?)</tr>", page)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
    assert cells[:2] == ["1", f"{ASKED:.2f} GB"]
    assert 200 / 1024 < float(cells[2].removesuffix(" GB")) < 0.5
    assert "Taler" in page
    assert "1000 a vCPU-hour" in page
    assert "alert" not in page, "an argument is no part of it"
    done = asked.command("report", dispatch_id, "--prices", str(table), "--json")
    told = json.loads(done.stdout)
    (electron,) = told["electrons"]
    assert (told["status"], told["currency"], electron["name"]) == ("COMPLETED", "Taler", "holds[0]")
    assert [attempt["exit_code"] for attempt in electron["attempts"]] == [0]
    assert electron["usage"]["process_bytes"] > 200 * 2**20
    assert told["cost"]["amount"] == pytest.approx(1000 * told["cost"]["vcpu_hours"])
    assert told["memory"][0]["function"] == "holds"


def test_what_cannot_be_had_is_said(asked: Any, ended: str, tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    without = asked.command("report", ended, "-o", str(path), "--endpoint-url", "http://127.0.0.1:9")
    assert without.returncode == 1
    assert "127.0.0.1" in without.stderr
    assert "fails[0]" in path.read_text(encoding="utf-8"), "Covalent knows the electrons"
    unknown = asked.command("report", "zzzz", "-o", str(path))
    assert unknown.returncode == 2
    assert "No dispatch and no job begins with 'zzzz'" in unknown.stderr
    nowhere = asked.command("report", ended, "-o", str(tmp_path / "none" / "run.html"))
    assert nowhere.returncode == 1
    assert "cannot be written" in nowhere.stderr
    assert "Traceback" not in nowhere.stderr
    prices = asked.command("report", ended, "--prices", str(path))
    assert prices.returncode == 1
    assert "is no table of prices" in prices.stderr
