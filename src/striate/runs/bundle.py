"""The bundle: model.safetensors and model.json, all that is needed to use a trained network."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn

from striate import files, models
from striate.data.preparation.kinds import Preparation, read_preparation
from striate.data.preparation.preprocessing import Preprocessing, Zca
from striate.errors import DataError, UsageError
from striate.models import Architecture
from striate.models.tensorfiles import from_safetensors
from striate.usercode import NO_CONSENT, Consent
from striate.version import __version__

FORMAT = 1
# Of a card with a temperature, which a striate that knows none must not read.
TEMPERED = 2
FORMATS = (FORMAT, TEMPERED)
CARD = "model.json"
WEIGHTS = "model.safetensors"
ZCA = "zca.safetensors"


class Bundle(NamedTuple):
    """A trained network with its preprocessing and its classes, in their order."""

    model: nn.Module  # in evaluation mode
    preprocessing: Preparation
    classes: tuple[str, ...]
    architecture: Architecture
    metrics: dict[str, Any]  # of the validation split, where there was one
    temperature: float = 1.0  # that its logits are divided by, for probabilities


def card(
    architecture: Architecture, preprocessing: Preparation, classes: tuple[str, ...]
) -> dict[str, Any]:
    """Write down what a network is. Nothing in it depends on the test split, the time or place."""
    return {
        "format": FORMAT,
        "striate": __version__,
        "torch": torch.__version__,
        "architecture": architecture._asdict(),
        "preprocessing": {"kind": preprocessing.kind, **preprocessing.to_json()},
        "classes": list(classes),
    }


def tempered(document: Mapping[str, Any], temperature: float) -> dict[str, Any]:
    """Return a card with a temperature, in place of one that it has."""
    return {**document, "format": TEMPERED, "temperature": temperature}


def blobs(model: nn.Module, preprocessing: Preparation) -> dict[str, bytes]:
    """Return the weights and buffers, and the whitening matrix if there is one, as safetensors."""
    content = {WEIGHTS: tensor_bytes(model.state_dict())}
    if isinstance(preprocessing, Preprocessing) and preprocessing.zca is not None:
        content[ZCA] = preprocessing.zca.to_bytes()
    return content


def save(folder: Path, document: Mapping[str, Any], content: Mapping[str, bytes]) -> None:
    """Write a bundle durably, in place of an older one."""
    files.write_sealed(folder, CARD, document, content)


def load(
    folder: Path, *, device: torch.device | None = None, consent: Consent = NO_CONSENT
) -> Bundle:
    """Read and verify a bundle; DataError names a damaged file, or code that is not agreed to."""
    document, content = files.read_sealed(folder, CARD)
    return restore(document, content, where=folder, device=device, consent=consent)


def restore(
    document: Mapping[str, Any],
    content: Mapping[str, bytes],
    *,
    where: Path,
    device: torch.device | None = None,
    consent: Consent = NO_CONSENT,
) -> Bundle:
    """Build the network of a card and fill in its weights; code that it brings needs consent."""
    if document.get("format") not in FORMATS:
        raise DataError(
            f"{where} has format {document.get('format')}, this version reads "
            f"{' and '.join(map(str, FORMATS))}: a newer striate wrote it"
        )
    try:
        preprocessing, classes, architecture = _read_card(document, content)
        temperature = temperature_of(document)
        model = models.build(
            architecture,
            len(classes),
            channels=preprocessing.shape[0],
            size=preprocessing.shape[1:],
            consent=consent,
        )
    except (LookupError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise DataError(f"{where} does not describe a network: {error}") from error
    if WEIGHTS not in content:
        raise DataError(f"{where} has no {WEIGHTS}")
    fill(model, from_safetensors(content[WEIGHTS], where / WEIGHTS), where / WEIGHTS)
    model.to(device or "cpu").eval()
    measured = dict(document.get("metrics", {}))
    return Bundle(model, preprocessing, classes, architecture, measured, temperature)


def fill(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load weights that must fit exactly."""
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise DataError(
            f"{path} does not fit the network: {str(error).splitlines()[-1].strip()}"
        ) from error


def tensor_bytes(named: Mapping[str, Tensor]) -> bytes:
    """Return tensors as the bytes of a safetensors file; shared memory is written twice."""
    return safetensors.torch.save(
        {name: t.detach().to("cpu", copy=True).contiguous() for name, t in named.items()}
    )


def temperature_of(document: Mapping[str, Any]) -> float:
    """Read a card's temperature: 1 of one that has none; ValueError for what can be none."""
    if document.get("format") != TEMPERED:
        return 1.0
    found = document["temperature"]
    if not (type(found) in (int, float) and 0 < found < math.inf):
        raise ValueError(f"its temperature is {found!r}")
    return float(found)


def _read_card(
    document: Mapping[str, Any], content: Mapping[str, bytes]
) -> tuple[Preparation, tuple[str, ...], Architecture]:
    zca = Zca.from_bytes(content[ZCA]) if ZCA in content else None
    preprocessing = read_preparation(document["preprocessing"], zca)
    classes, metrics = document["classes"], document.get("metrics", {})
    listed = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not (listed and classes and isinstance(metrics, dict)):
        raise ValueError("its classes are no list of names, or its metrics no table")
    architecture = Architecture(**document["architecture"])
    if not (isinstance(architecture.name, str) and isinstance(architecture.arguments, dict)):
        raise ValueError("its architecture is no name with arguments")
    if not isinstance(architecture.source, (str, type(None))):
        raise ValueError("its source is no text")
    return preprocessing, tuple(classes), architecture
