"""What a network costs, what its first filters are, where it looked, and a report of it all."""

import striate
from striate.seeing import firstlayer

few = {"width": 16}
run = striate.train("digits", epochs=4, arguments=few, out="runs/inside", overwrite=True)
for row in run.describe().layers[:4]:
    print(row.name, row.kind, row.output, row.parameters)
filters = firstlayer.filters(run.model, run.bundle.preprocessing.shape)
print(f"{len(filters.weights)} filters in {filters.layer}")

found = run.evaluate()
picture = run.explain(found.image(0))[0]
assert picture.where is not None
y, x = divmod(int(picture.where.values.argmax()), picture.where.values.shape[1])
print(f"{picture.classes[0][0]}: it looked most at row {y}, column {x}")
for near in picture.neighbours:
    print(f"much like {near.file}, a {near.label}")
print("open", run.report(with_map=False))
