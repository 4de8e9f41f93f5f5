"""Faces by hand-made and by learned features: one script, one set of pictures, every number.

The pictures are CBCL's (19x19, an .npz file) and, for the photographs, folders without faces:

    python benchmarks/faces.py agree DATA/faces/cbcl.npz
    python benchmarks/faces.py windows DATA/faces/cbcl.npz --run RUN --cascade OWN.json -o roc.png
    python benchmarks/faces.py failure DATA/faces/cbcl.npz --run RUN
    python benchmarks/faces.py photos DATA/faces/cbcl.npz --photos FOLDER --run RUN

OpenCV's cascades are compared where opencv-python-headless below 5 is installed.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import striate
from striate import figures, images
from striate.classic import faces
from striate.classic.faces import boosting, detection, haar, network, sources
from striate.classic.faces.integral import integral
from striate.classic.faces.merging import overlaps
from striate.runs.folder import load_bundle

Pixels = NDArray[np.uint8]
Scores = NDArray[np.float64]
Judge = Callable[[Pixels], Scores]
RATES = (0.1, 0.05, 0.02, 0.01, 0.001)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["agree", "windows", "failure", "photos"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--cascade", type=Path)
    parser.add_argument("--lfw", type=Path, help="scikit-image's lfw_subset.npz")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    {"agree": agree, "windows": windows, "failure": failure, "photos": photos}[given.what](given)


def agree(given: argparse.Namespace) -> None:
    """Compare with scikit-learn's AdaBoost on the same features."""
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.tree import DecisionTreeClassifier

    train = sources.read_npz(given.data, ("train_faces", "train_nonfaces"))
    test = sources.read_npz(given.data, ("test_faces", "test_nonfaces"))
    every, random = haar.features(19, 19), np.random.default_rng(0)
    chosen = [every[row] for row in random.choice(len(every), 1000, replace=False)]
    (x, y), (held, truth) = (_table(pair, chosen) for pair in (train, test))
    weights = np.where(y, 0.5 / y.sum(), 0.5 / (~y).sum())
    for rounds in (1, 10):
        began = time.process_time()
        stumps = [
            one.stump
            for one, _ in zip(boosting.boost(boosting.table(x), y), range(rounds), strict=False)
        ]
        ours = time.process_time() - began
        began = time.process_time()
        reference = AdaBoostClassifier(DecisionTreeClassifier(max_depth=1), n_estimators=rounds)
        reference.fit(x.T, y, weights)
        theirs = time.process_time() - began
        votes = [np.where(held[s.feature] >= s.threshold, s.vote, -s.vote) for s in stumps]
        mine, other = sum(votes) >= 0, reference.predict(held.T)
        balanced = [
            np.mean([(a == truth)[truth].mean(), (a == truth)[~truth].mean()])
            for a in (mine, other)
        ]
        first = reference.estimators_[0].tree_
        same = (stumps[0].feature, stumps[0].threshold) == (first.feature[0], first.threshold[0])
        print(
            f"{rounds} rounds: same first stump {same}; balanced accuracy ours {balanced[0]:.4f}, "
            f"scikit-learn {balanced[1]:.4f}; same answers {np.mean(mine == other):.4f} of "
            f"{len(truth)}; {ours:.1f} s, {theirs:.1f} s"
        )


def _table(
    pair: list[Pixels], chosen: list[haar.Feature]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    both = np.concatenate(pair)
    values = haar.values(integral(both), haar.corners(chosen))
    return values / faces.windows_of(both).deviations, np.arange(len(both)) < len(pair[0])


def judges(given: argparse.Namespace) -> dict[str, Judge]:
    """Return every detector as a score for windows (N, 19, 19)."""
    found: dict[str, Judge] = {"cascade, shipped": _cascade(faces.shipped())}
    if given.cascade:
        found["cascade, CBCL alone"] = _cascade(faces.load(given.cascade))
    if given.run:
        found["network, CBCL alone"] = _network(_learned(given.run))
    return found | _opencv()


def _cascade(cascade: faces.Cascade) -> Judge:
    return lambda pictures: faces.depth(cascade.stages, faces.windows_of(pictures)).scores


def _learned(run: Path) -> network.Network:
    return network.network(
        load_bundle(run), name="face", probability=0.9, device=torch.device("cpu")
    )


def _network(found: network.Network) -> Judge:
    def judge(pictures: Pixels) -> Scores:
        parts = torch.from_numpy(pictures.copy())[:, None].split(512)
        chances = torch.cat([network.probabilities(found, part) for part in parts])
        return torch.logit(chances, eps=1e-12).numpy()

    return judge


def _opencv() -> dict[str, Judge]:
    try:
        import cv2
    except ImportError:
        return {}
    found = {}
    for name, side in (("default", 24), ("alt", 20)):
        classifier = cv2.CascadeClassifier(
            f"{cv2.data.haarcascades}haarcascade_frontalface_{name}.xml"
        )

        def judge(pictures: Pixels, known: object = classifier, side: int = side) -> Scores:
            scores = []
            for picture in pictures:
                window = cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR)
                _, levels, weights = known.detectMultiScale3(  # type: ignore[attr-defined]
                    window,
                    scaleFactor=1.1,
                    minNeighbors=0,
                    minSize=(side, side),
                    maxSize=(side, side),
                    outputRejectLevels=True,
                )
                reached = [float(a) + float(b) / 1000 for a, b in zip(levels, weights, strict=True)]
                scores.append(max(reached, default=-1.0))
            return np.array(scores)

        found[f"OpenCV frontalface_{name}"] = judge
    return found


def windows(given: argparse.Namespace) -> None:
    """Print detection rates at false-alarm rates, and windows a second."""
    test = sources.read_npz(given.data, ("test_faces", "test_nonfaces"))
    lines: dict[str, tuple[Scores, Scores]] = {}
    print("detector | " + " | ".join(f"{rate:.1%}" for rate in RATES) + " | AUC | windows/s")
    for name, judge in judges(given).items():
        began = time.process_time()
        found = judge(test[0]), judge(test[1])
        seconds = time.process_time() - began
        if "OpenCV" not in name:  # it was taught wider windows, and finds none of these
            lines[name] = found
        print(_row(name, *found) + f" | {sum(map(len, test)) / seconds:,.0f}")
        if given.lfw:
            parts = _lfw(given.lfw, inner="OpenCV" not in name)
            print(_row(f"  {name}, LFW", *(judge(part) for part in parts)))
    if given.out:
        title = f"CBCL's test windows: {len(test[0])} faces, {len(test[1]):,} non-faces"
        given.out.write_bytes(figures.rates(lines, title))


def _row(name: str, positive: Scores, negative: Scores) -> str:
    rates = [detection_at(positive, negative, rate) for rate in RATES]
    shown = ["-" if rate is None else f"{rate:.3f}" for rate in rates]
    known = "-" if "OpenCV" in name else f"{area(positive, negative):.4f}"  # it ranks few windows
    return f"{name} | " + " | ".join(shown) + f" | {known}"


def detection_at(positive: Scores, negative: Scores, rate: float) -> float | None:
    """Return the share of faces above the threshold that lets so many non-faces through."""
    allowed = int(rate * len(negative))
    if allowed == 0:
        return None
    threshold = np.sort(negative)[::-1][allowed]
    return float((positive > threshold).mean())


def area(positive: Scores, negative: Scores) -> float:
    """Return the chance that a face has the higher score; equal ones count half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left"), np.searchsorted(ordered, positive, "right")
    return float(np.mean(below) / len(negative))


def _lfw(path: Path, *, inner: bool) -> tuple[Pixels, Pixels]:
    """Read faces and non-faces, 25x25; of the faces their inner part, which CBCL's show."""
    with np.load(path, allow_pickle=False) as opened:
        pictures, labels = (opened["images"] * 255).round().astype(np.uint8), opened["labels"]
    if inner:
        # Eyes and mouth then lie where they lie in CBCL's mean face.
        pictures = np.stack([sources.fitted(one[4:22, 4:22], (19, 19)) for one in pictures])
    return pictures[labels == 1], pictures[labels == 0]


def shaded(face: Pixels) -> Pixels:
    """Darken the left half to a quarter."""
    dark = face.copy()
    half = face.shape[1] // 2
    dark[:, :half] = dark[:, :half] // 4
    return dark


def warped(face: Pixels) -> Pixels:
    """Move each row sideways along a wave: 2 pixels each way, a wave of 10 rows."""
    rows = np.arange(len(face))
    shifts = np.rint(2 * np.sin(2 * np.pi * rows / 10)).astype(int)
    columns = np.clip(np.arange(face.shape[1]) + shifts[:, None], 0, face.shape[1] - 1)
    return face[rows[:, None], columns]


def drawn(face: Pixels) -> Pixels:
    """Keep the edges alone: the steepest quarter of the pixels, black on white."""
    down, across = np.gradient(face.astype(float))
    steep = np.hypot(down, across)
    return np.where(steep >= np.quantile(steep, 0.75), 0, 255).astype(np.uint8)


CHANGES = {"plain": lambda face: face, "shaded": shaded, "warped": warped, "drawn": drawn}


def failure(given: argparse.Namespace) -> None:
    """Print how many faces are still found when they are shaded, warped, drawn."""
    test = sources.read_npz(given.data, ("test_faces", "test_nonfaces"))
    sets = {"CBCL": test[0]} | ({"LFW": _lfw(given.lfw, inner=True)[0]} if given.lfw else {})
    for rate in (0.1, 0.01):
        for name, judge in judges(given).items():
            if "OpenCV" in name:  # it finds none of CBCL's narrow windows
                continue
            ordered = np.sort(judge(test[1]))[::-1]
            threshold = ordered[int(rate * len(ordered))]
            for called, known in sets.items():
                shares = [
                    float((judge(np.stack([change(one) for one in known])) > threshold).mean())
                    for change in CHANGES.values()
                ]
                shown = ", ".join(
                    f"{kind} {share:.3f}" for kind, share in zip(CHANGES, shares, strict=True)
                )
                print(f"{rate:.0%} false alarms, {name}, {called} ({len(known)}): {shown}")


def photos(given: argparse.Namespace) -> None:
    """Paste three test faces of chance size on each photograph, and look for them."""
    known = sources.read_npz(given.data, ("test_faces",))[0]
    if given.lfw:
        known = _lfw(given.lfw, inner=False)[0]
    random = np.random.default_rng(0)
    listed = sorted(given.photos.glob("*/*.*"))
    scenes = []
    for path in [listed[place] for place in random.permutation(len(listed))[: given.count]]:
        picture = sources.grey(images.decode(path)).copy()
        scenes.append((picture, _paste(picture, known, random)))
    finders = {"cascade, shipped": _finder("viola-jones")}
    if given.run:
        finders["network, CBCL alone"] = _finder(given.run)
    for name, find in (finders | _opencv_finder()).items():
        began = time.process_time()
        found = hits = boxes = 0
        for picture, placed in scenes:
            seen = np.array(find(picture)).reshape(-1, 4)
            near = [_same(box, seen) for box in placed]
            found += sum(bool(one.any()) for one in near)
            hits += int(np.any(near, axis=0).sum())
            boxes += len(seen)
        total = sum(len(placed) for _, placed in scenes)
        seconds = (time.process_time() - began) / len(scenes)
        looked = "" if "OpenCV" in name else f", {_looked(name, given, scenes):,.0f} windows each"
        print(
            f"{name}: {found} of {total} faces ({found / total:.3f}), {boxes - hits} false boxes "
            f"in {len(scenes)} photographs, {seconds:.3f} s a photograph{looked}"
        )
    if given.out:
        pictures = [picture for picture, _ in scenes[: figures.SHOWN]]
        found_in = [[figures.Box(*one[:4]) for one in striate.detect(one)] for one in pictures]
        given.out.write_bytes(figures.boxes(pictures, found_in, [""] * len(pictures)))


def _same(box: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which boxes mean a face: its middle, and half to 1.3 times its width.

    Detectors differ in how much of a head they were taught to frame.
    """
    apart = np.abs(seen[:, :2] + seen[:, 2:] / 2 - (box[:2] + box[2:] / 2)).max(axis=1)
    ratio = seen[:, 2] / box[2]
    return np.asarray((apart <= 0.25 * box[2]) & (ratio >= 0.5) & (ratio <= 1.3))


def _looked(
    name: str, given: argparse.Namespace, scenes: list[tuple[Pixels, NDArray[np.float64]]]
) -> float:
    ready = _learned(given.run) if "network" in name else faces.shipped()
    grid = faces.Choices().grid(ready)
    return float(np.mean([faces.count(one.shape, ready.window, grid) for one, _ in scenes]))


def _paste(picture: Pixels, known: Pixels, random: np.random.Generator) -> NDArray[np.float64]:
    """Put three faces where none is, each 24 to 72 pixels wide; return their boxes."""
    placed: list[list[int]] = []
    while len(placed) < 3:
        side = int(np.exp(random.uniform(np.log(24), np.log(72))))
        top, left = (int(random.integers(0, room - side)) for room in picture.shape)
        box = [left, top, side, side]
        if placed and overlaps(np.array(box, float), np.array(placed, float)).any():
            continue
        face = Image.fromarray(known[random.integers(len(known))])
        resized = face.resize((side, side), Image.Resampling.BICUBIC)
        picture[top : top + side, left : left + side] = np.asarray(resized)
        placed.append(box)
    return np.array(placed, float)


def _finder(detector: object, **choices: object) -> Callable[[Pixels], list[list[float]]]:
    chosen = faces.Choices(**choices)  # type: ignore[arg-type]
    ready = detection.find(detector, chosen)
    return lambda picture: [list(one[:4]) for one in faces.boxes(ready, picture, chosen)]


def _opencv_finder() -> dict[str, Callable[[Pixels], list[list[float]]]]:
    try:
        import cv2
    except ImportError:
        return {}
    cv2.setNumThreads(1)
    name = "haarcascade_frontalface_default.xml"
    known = cv2.CascadeClassifier(cv2.data.haarcascades + name)
    return {
        "OpenCV frontalface_default": lambda picture: [
            list(map(float, box)) for box in known.detectMultiScale(picture, 1.25, 3)
        ]
    }


if __name__ == "__main__":
    main()
