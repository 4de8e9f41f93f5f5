import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from striate import devices
from striate.errors import UsageError
from striate.training import start
from striate.training.recipe import Recipe
from striate.wording import counted


def test_auto_is_the_cpu_only_where_there_is_nothing_better() -> None:
    better = torch.cuda.is_available() or torch.backends.mps.is_available()
    assert (devices.pick("auto").type == "cpu") is not better
    assert devices.pick("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    "name", ["gpu", "CPU", "", "cuda:99", "mps:7", "cpu:1", "cpu:x", "cpu:", "auto:0", "cuda:-1"]
)
def test_a_device_that_is_not_there_is_a_usage_error_in_one_line(name: str) -> None:
    with pytest.raises(UsageError, match="device") as caught:
        devices.pick(name)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_is_described_by_its_name() -> None:
    assert devices.pick("cuda:0") == torch.device("cuda:0")
    assert devices.describe(devices.pick("cuda")) == torch.cuda.get_device_name(0)


def test_the_cpu_is_described_with_its_threads() -> None:
    threads = counted(torch.get_num_threads(), "threads")
    assert devices.describe(torch.device("cpu")) == f"cpu, {threads}"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_only_processors_of_this_process_are_counted() -> None:
    script = (
        "import os; from striate import devices;"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(devices.processors())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert int(done.stdout) == 1
    assert devices.processors() >= 1


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bfloat16_that_a_gpu_only_emulates_is_not_chosen(
    capability: tuple[int, int], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several GPUs the one that is used is asked, for training and painting alike."""
    others = {torch.device("cuda:1"): capability}
    monkeypatch.setattr(
        torch.cuda, "get_device_capability", lambda device: others.get(device, (0, 0))
    )
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    device = torch.device("cuda:1")
    assert devices.multiplies_bfloat16(device) is fast
    expected = "bfloat16" if fast else "float32"
    assert start.precision(Recipe(precision="auto"), device) == expected
    assert start.precision(Recipe(precision="auto"), torch.device("cpu")) == "float32"


@pytest.mark.parametrize("able", [True, False])
def test_bfloat16_is_taken_on_processors_that_multiply_it(
    able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able)
    cpu = torch.device("cpu")
    assert start.precision(Recipe(precision="fast"), cpu) == ("bfloat16" if able else "float32")
    assert start.precision(Recipe(precision="float32"), cpu) == "float32"
    if able:
        assert start.precision(Recipe(precision="bfloat16"), cpu) == "bfloat16"
    else:
        with pytest.raises(UsageError, match="this CPU has no instructions for bfloat16"):
            start.precision(Recipe(precision="bfloat16"), cpu)


def test_placing_a_network_lays_its_convolutions_channels_last() -> None:
    net = devices.place(nn.Sequential(nn.Conv2d(3, 4, 3)), torch.device("cpu"))
    assert net.get_parameter("0.weight").is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("before", [False, True])
def test_deterministic_algorithms_are_as_before_afterwards(before: bool) -> None:
    asked = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(before)
    try:
        with devices.deterministic(True):
            assert torch.are_deterministic_algorithms_enabled()
        assert torch.are_deterministic_algorithms_enabled() is before
        with devices.deterministic(False):
            assert torch.are_deterministic_algorithms_enabled() is before
        with pytest.raises(ZeroDivisionError), devices.deterministic(True):
            raise ZeroDivisionError
        assert torch.are_deterministic_algorithms_enabled() is before
    finally:
        torch.use_deterministic_algorithms(asked)


def test_one_number_gives_splitmix64() -> None:
    # The first output of the published generator for seed 1234567, less its lowest bit.
    assert devices.seed_of(1234567) == 6457827717110365317 >> 1


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4), st.integers(0, 3))
def test_a_seed_follows_from_every_number_and_their_order(numbers: list[int], place: int) -> None:
    seed = devices.seed_of(*numbers)
    assert 0 <= seed < 2**63
    assert seed == devices.seed_of(*numbers)
    changed = list(numbers)
    changed[place % len(numbers)] ^= 1
    assert devices.seed_of(*changed) != seed
    assert devices.seed_of(*numbers, 0) != seed
    if numbers != numbers[::-1]:
        assert devices.seed_of(*numbers[::-1]) != seed
