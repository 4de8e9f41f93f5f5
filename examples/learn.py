"""Train on handwritten digits, and ask about one that was never shown: ten seconds."""

import striate

run = striate.train("digits", epochs=4, out="runs/learn", overwrite=True)
found = run.evaluate()
low, high = found.metrics.interval
print(f"{found.accuracy:.1%} of {found.metrics.n} digits are right ({low:.1%} to {high:.1%})")
for mistake in found.mistakes(3):
    print(f"{found.names[mistake]} shows {found.classes[found.labels[mistake]]}: not recognised")
answer = run.predict(found.image(0))[0]
print(f"{found.names[0]}: {answer.classes[0].name} ({answer.classes[0].probability:.0%})")
