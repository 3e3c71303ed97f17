"""What a job on Fargate may ask for, and how the executor's options follow it."""

from __future__ import annotations

from typing import Any

import pytest

from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options import fargate
from covalent_awsbatch_plugin.options.checks import checked
from covalent_awsbatch_plugin.options.settings import DEFAULTS, Settings


@pytest.mark.parametrize(
    ("vcpu", "memory", "mib"),
    [
        (2, 3.75, 4096),  # the defaults
        (2, 4, 4096),
        (2, 4.001, 5120),
        (0.25, 0.1, 512),
        (0.25, 1.5, 2048),
        (1, 8, 8192),
        (8, 17, 20480),
        (16, 33, 40960),
        (32, 100, 122880),
        (32, 244, 249856),
    ],
)
def test_memory_is_the_next_size_that_goes_with_the_vcpus(vcpu: float, memory: float, mib: int) -> None:
    assert fargate.memory(vcpu, memory) == mib
    assert Settings(platform="FARGATE", vcpu=vcpu, memory=memory).memory_mib == mib


def test_memory_is_what_was_asked_for_on_machines() -> None:
    assert Settings(memory=3.75).memory_mib == 3840


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"vcpu": 3}, r"platform='FARGATE' is not allowed \(there is vcpu=0.25, 0.5, 1, 2, 4, 8, 16, 32, and not 3\)"),
        ({"vcpu": 1, "memory": 9}, "vcpu=1 has up to 8 GB of memory: memory=9 needs vcpu=2 or more"),
        ({"vcpu": 32, "memory": 500}, "500 GB is more than it has"),
        ({"num_gpus": 1}, "no GPUs on Fargate, and num_gpus=1"),
        ({"ephemeral_storage": 20}, r"ephemeral_storage=20 is not allowed \(out of range\): must be GB .* 21 to 200"),
        ({"assign_public_ip": "maybe"}, "assign_public_ip='maybe' is not allowed: must be True or False"),
        ({"platform": "EC2", "vcpu": 0.5}, "vcpu=0.5 is no whole number, which it has to be on EC2"),
        ({"platform": "EC2", "ephemeral_storage": 30}, "for Fargate only: elsewhere the compute environment"),
        ({"platform": "MANAGED_INSTANCES", "ephemeral_storage": 30}, "for Fargate only: elsewhere the compute environ"),
        ({"platform": "fargate"}, "platform='fargate' is not allowed: must be 'EC2', 'FARGATE'"),
    ],
)
def test_what_does_not_go_together_is_told_before_anything_is_submitted(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        checked({**DEFAULTS, "platform": "FARGATE", **options})


def test_what_a_flat_configuration_file_has_is_understood() -> None:
    read = Settings(platform="FARGATE", assign_public_ip="False", ephemeral_storage="50", vcpu="0.5", memory="1")
    assert (read.assign_public_ip, read.ephemeral_storage, read.vcpu) == (False, 50, 0.5)
    assert Settings(tags='{"team": "a"}', environment='{"A": "1"}').tags == {"team": "a"}
    with pytest.raises(SettingsError, match=r"tags is not allowed .must be name:value"):
        checked({**DEFAULTS, "tags": "team"})
