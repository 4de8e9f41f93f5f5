"""Is a wider network better on digits? Three seeds of each, and the difference with its doubt."""

import striate

runs = [
    striate.train(
        "digits",
        epochs=4,
        seed=seed,
        arguments={"width": width},
        out=f"runs/{width}-{seed}",
        overwrite=True,
    )
    for width in (4, 12)
    for seed in (0, 1, 2)
]
found = striate.compare(*runs)
for pair in found.pairs:
    gap = pair.difference
    assert gap is not None
    print(f"{pair.second} less {pair.first}: {100 * gap.mean:+.1f} points of accuracy")
    print(f"95 % interval {100 * gap.low:+.1f} to {100 * gap.high:+.1f}, {gap.n} seeds")
    print("for sure" if gap.is_sure else "not for sure: the interval has 0 in it")
