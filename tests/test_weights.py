"""Weights to start from: what is read, what fits, and what is never carried out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from striate import api, models
from striate.errors import DataError, UsageError
from striate.runs.weights import load_weights


def net(classes: int = 4, width: int = 6) -> nn.Module:
    return models.build("convnet", classes, channels=1, size=8, width=width)


def store(state: dict[str, Tensor], path: Path) -> str:
    if path.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("name", ["net.safetensors", "net.pth", "net.pt"])
def test_all_weights_of_a_file_are_taken(tmp_path: Path, name: str) -> None:
    source, target = net(), net()
    notes = load_weights(target, store(source.state_dict(), tmp_path / name))
    assert notes == [f"weights from {tmp_path / name}"]
    found, expected = target.state_dict(), source.state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_training_scripts_checkpoint_is_unpacked(tmp_path: Path, key: str) -> None:
    source, target = net(), net()
    torch.save({key: source.state_dict(), "epoch": 3}, tmp_path / "net.pth")
    load_weights(target, str(tmp_path / "net.pth"))
    assert torch.equal(next(target.parameters()), next(source.parameters()))


def test_a_run_gives_its_weights(tmp_path: Path) -> None:
    choices: dict[str, Any] = {"arguments": {"width": 4}, "epochs": 1}
    first = api.train("digits", out=tmp_path / "first", **choices)
    target = models.build("convnet", 10, channels=1, size=8, width=4)
    load_weights(target, str(first.folder))
    assert torch.equal(next(target.parameters()), next(first.model.parameters()))


@pytest.mark.parametrize("name", ["net.safetensors", "net.pth"])
def test_a_head_for_other_classes_stays_fresh(tmp_path: Path, name: str) -> None:
    source, target = net(classes=9), net(classes=4)
    fresh = target.get_parameter("head.weight").clone()
    notes = load_weights(target, store(source.state_dict(), tmp_path / name))
    assert "head starts fresh" in notes[0]
    assert torch.equal(target.get_parameter("head.weight"), fresh)
    first = "stage1.conv1.weight"
    assert torch.equal(target.get_parameter(first), source.get_parameter(first))


def test_another_network_does_not_fit_and_nothing_changes(tmp_path: Path) -> None:
    target = net()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    wider = store(net(width=8).state_dict(), tmp_path / "wider.pth")
    with pytest.raises(UsageError, match=r"stage1\.conv1\.weight is of another shape"):
        load_weights(target, wider)
    state = net().state_dict()
    del state["stage1.norm1.running_mean"]
    with pytest.raises(UsageError, match=r"stage1\.norm1\.running_mean is not in it"):
        load_weights(target, store(state, tmp_path / "less.pth"))
    after = target.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)


class Trap:
    """Would make a file while it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_file_is_not_carried_out(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"weight": Trap(sprung)}, tmp_path / "trap.pth")
    with pytest.raises(DataError, match=r"cannot read .*trap\.pth as weights only"):
        load_weights(net(), str(tmp_path / "trap.pth"))
    assert not sprung.exists()
    torch.load(tmp_path / "trap.pth", weights_only=False)  # the trap is a real one
    assert sprung.exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("net.pth", b"no archive", "as weights only"),
        ("net.safetensors", b"\x08\0\0\0\0\0\0\0{}broken", "net.safetensors"),
        ("absent.pth", None, "absent.pth"),
        ("absent.safetensors", None, "cannot read"),
    ],
)
def test_what_is_no_file_of_weights_is_one_line(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        load_weights(net(), str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a run, a \.safetensors file or a \.pth file"):
        load_weights(net(), str(tmp_path / "net.bin"))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(DataError, match="holds no table of tensors"):
        load_weights(net(), str(tmp_path / "list.pth"))
