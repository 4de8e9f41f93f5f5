"""A model card: what a run is, in Markdown, with the front matter of the Hugging Face Hub."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from striate.errors import DataError
from striate.runs import Bundle, folder
from striate.wording import counted, percent, shown

NAME = "README.md"  # what the Hub shows of a folder
UNKNOWN = "unknown"  # the Hub's word for no licence
TASKS = {
    "pictures": "image-classification",
    "sounds": "audio-classification",
    "clips": "video-classification",
}
_LISTED = 30  # classes


def written(run: Path, bundle: Bundle, *, license: str | None = None) -> str:
    """Write a finished run's card; DataError for a run that has no result yet."""
    result = folder.read_result(folder.require_whole(run))
    if not result:
        raise DataError(
            f"{run} is not finished, so it has no figures: `striate train --resume {run}`"
        )
    data, recipe = folder.read_json(run, folder.DATA), folder.read_recipe(run)
    parts = (
        _front(bundle, license),
        f"# {shown(run.name)}\n",
        _summary(bundle, result, license),
        _data(data),
        _figures(bundle, result),
        _limits(data, result, recipe),
        _input(bundle),
        _again(run, data, recipe),
        _use(),
    )
    return "\n".join(parts)


def _front(bundle: Bundle, license: str | None) -> str:
    """Return the front matter; texts stand as JSON, which is YAML whatever is in them."""
    task = TASKS[bundle.preprocessing.kind]
    tags = ["striate", "pytorch", "convolutional-network", bundle.architecture.name]
    lines = [
        "---",
        f"license: {json.dumps(license or UNKNOWN)}",
        "library_name: striate",
        f"pipeline_tag: {task}",
        "tags:",
        *(f"- {json.dumps(tag)}" for tag in tags),
        "metrics:",
        "- accuracy",
        "---\n",
    ]
    return "\n".join(lines)


def _summary(bundle: Bundle, result: Mapping[str, Any], license: str | None) -> str:
    kind, count = bundle.preprocessing.kind, len(bundle.classes)
    names = ", ".join(f"`{_plain(name)}`" for name in bundle.classes[:_LISTED])
    more = f" and {count - _LISTED} more" if count > _LISTED else ""
    said = f"Licence: {_plain(license)}." if license else "Its licence is not stated."
    return (
        f"A `{_plain(bundle.architecture.name)}` of {result['parameters']:,} parameters that tells "
        f"{counted(count, 'classes')} of {kind} apart: {names}{more}. {said}\n"
    )


def _data(data: Mapping[str, Any]) -> str:
    kind = str(data.get("kind", "pictures"))
    counts = ", ".join(f"{part} {counted(number, kind)}" for part, number in data["splits"].items())
    layout = str(data["layout"]).replace(str(data["origin"].get("text")), _origin(data))
    lines = ["## Data\n", f"{_plain(layout)}. Splits: {counts}."]
    for leak in data.get("leaks", []):
        lines.append(
            f"{counted(leak['copies'], kind)} of the {leak['split']} split have a copy in training."
        )
    return "\n".join(lines) + "\n"


def _figures(bundle: Bundle, result: Mapping[str, Any]) -> str:
    low, high = result["interval"]
    rows = [
        ("accuracy", f"{percent(result['accuracy'])} ({percent(low)} to {percent(high)})"),
        *(
            (name.replace("_", " "), percent(result[name]))
            for name in ("balanced_accuracy", "top5")
            if isinstance(result.get(name), float) and (name != "top5" or len(bundle.classes) > 5)
        ),
        ("loss", f"{result['loss']:.4f} nats"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    of = f"{counted(result['n'], bundle.preprocessing.kind)} of the {result['split']} split"
    return (
        f"## Figures\n\nOn {of}; in brackets the 95 % interval.\n\n| figure | value |\n|---|---|\n"
        f"{table}\n"
    )


def _limits(data: Mapping[str, Any], result: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in _limit(data, result, recipe)) + "\n"


def _limit(
    data: Mapping[str, Any], result: Mapping[str, Any], recipe: Mapping[str, Any]
) -> Iterator[str]:
    kind = str(data.get("kind", "pictures"))
    yield (
        f"It always names one of its classes, also for {kind} of none of them; "
        f"{kind} unlike those above were not measured."
    )
    if result["split"] != "test":
        yield (
            f"There was no test split: the figures are of the {result['split']} split, "
            "which the training had a part in choosing by, and are too high."
        )
    train = data["splits"].get("train")
    if result["n"] < 1000:
        yield f"The figures are of {counted(result['n'], kind)} only: the interval says how sure."
    if train and recipe.get("seed") is not None:
        yield "It is one training, of one seed: others differ by some tenths of a point or more."
    if recipe.get("pretrained") or recipe.get("weights"):
        yield (
            "The training began with published weights, whose data, licence and limits apply too."
        )


def _input(bundle: Bundle) -> str:
    return f"## Preprocessing\n\n{_plain(bundle.preprocessing.describe())}.\n"


def _again(run: Path, data: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    version = folder.read_json(run, folder.ENVIRONMENT)
    text = folder.recipe_text(recipe)
    origin = _plain(_origin(data))
    return (
        "## Trained again\n\nSave the recipe as `recipe.toml` and run "
        f"`striate train DATA --config recipe.toml`; DATA was {origin}. It was striate "
        f"{version.get('striate')}, torch {version.get('torch')}, {version.get('threads')} "
        f"threads.\n\n```toml\n{text}```\n"
    )


def _origin(data: Mapping[str, Any]) -> str:
    """Name the data, without the folders of this machine that they lie in."""
    text = str(data["origin"].get("text") or "not named")
    return text if data["origin"].get("kind") == "named" else Path(text).name


def _use() -> str:
    return (
        "## Use\n\n```bash\nhf download USER/NAME --local-dir network\n"
        "striate predict network picture.jpg\n```\n"
    )


def _plain(text: Any) -> str:
    """Return a text from data as one line that steers no Markdown."""
    line = " ".join(shown(str(text)).split())
    return line.replace("`", "'").replace("<", "&lt;").replace("|", "\\|").replace("[", "\\[")
