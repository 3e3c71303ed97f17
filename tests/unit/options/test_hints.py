"""What is said of an option's wrong name or value, when it is plain what was meant."""

from __future__ import annotations

from typing import Any

import covalent
import pytest

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options import checks
from covalent_awsbatch_plugin.options.settings import DEFAULTS

assert covalent  # it must be imported before its plugins

MEANT = [
    ("timeout", "did you mean 'time_limit'?"),
    ("gpus", "did you mean 'num_gpus'?"),
    ("queue", "did you mean 'batch_queue'?"),
    ("cpus", "did you mean 'vcpu'?"),
    ("image", "did you mean 'container_image_uri'?"),
    ("bucket", "did you mean 's3_bucket_name'?"),
    ("base_uri", "now 'container_image_uri'"),
    ("memroy", "did you mean 'memory'?"),
]


@pytest.mark.parametrize(("name", "hint"), MEANT)
def test_a_usual_name_gets_the_options_name(name: str, hint: str) -> None:
    with pytest.raises(TypeError) as caught:
        AWSBatchExecutor(**{name: 1})
    assert str(caught.value) == f"AWSBatchExecutor has no option {name!r}: {hint}"


def test_all_wrong_names_stand_in_one_message() -> None:
    with pytest.raises(TypeError) as caught:
        AWSBatchExecutor(**{name: 1 for name, _ in MEANT}, xyz=1)
    first, *lines, last = str(caught.value).splitlines()
    assert first == "AWSBatchExecutor has no options of these names:"
    assert lines == [*(f"- {name!r}: {hint}" for name, hint in MEANT), "- 'xyz'"]
    assert last.startswith("The options are credentials, profile, ")


def refusal(**options: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        AWSBatchExecutor(**options)
    return str(caught.value)


@pytest.mark.parametrize("value", ["4GB", "4 GiB", "four", "4,5"])
def test_memory_is_a_number_of_gb(value: str) -> None:
    assert f"memory={value!r} is not allowed (not a number): must be a number of GB, such as 4" in refusal(memory=value)


@pytest.mark.parametrize("wrong", ["%", "&", "\n", "\t", ",", "(", ";", "€", "😀", "\u0301"])
def test_a_tag_with_a_character_that_aws_refuses_is_refused_and_the_character_shown(wrong: str) -> None:
    for tags in ({f"cost{wrong}": "1"}, {"cost": f"a{wrong}b"}):
        message = refusal(tags=tags)
        assert f"has the character {wrong!r}" in message
        assert "letters, digits, spaces and + - = . _ : / @" in message


def test_tags_may_have_letters_digits_and_spaces_of_any_script() -> None:
    tags = {"Kosten stelle:é/1": "größe 東京 ٣", "a+b-c=d._@": "", "k": " "}
    assert checks.checked({**DEFAULTS, "tags": tags}).tags == tags


@pytest.mark.parametrize(
    ("value", "meant"), [(4096, "4"), ("8192", "8"), (15360, "15"), (5000.0, "4.88"), (24576, "24")]
)
def test_memory_in_mib_is_refused_with_the_gb_that_were_meant(value: Any, meant: str) -> None:
    message = refusal(memory=value)
    assert f"memory={value!r} is not allowed (did you mean {meant} (GB)?): must be a number of GB, such as 4" in message
    assert "GB?" not in refusal(memory=10**9)


@pytest.mark.parametrize("value", [1952, 3904, 4095.9])
def test_what_the_largest_machines_have_is_taken(value: float) -> None:
    assert AWSBatchExecutor(memory=value).memory == value
