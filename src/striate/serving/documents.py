"""The JSON documents that a server answers with."""

from pydantic import BaseModel, Field


class Ranked(BaseModel):
    """A class and its probability."""

    name: str
    probability: float


class Predicted(BaseModel):
    """What the network says of one file."""

    file: str
    classes: list[Ranked] = Field(description="The likeliest first; none of an unreadable file.")
    error: str | None = Field(description="Why the file could not be read.")


class Predictions(BaseModel):
    """What the network says of the files of a request, in their order."""

    model: str
    version: str = Field(description="A checksum of the network: another after more training.")
    milliseconds: float = Field(description="From the request to this answer.")
    predictions: list[Predicted]


class Where(BaseModel):
    """Where the network looked for its likeliest class."""

    layer: str
    field: list[int] = Field(description="Pixels that one place of the map sees.")
    map: list[list[float]] = Field(description="Rows of numbers; below 0 is what speaks against.")
    shuffled: list[list[float]] = Field(description="The same by shuffled weights.")
    agreement: float | None = Field(description="Rank correlation of the two maps.")


class Neighbour(BaseModel):
    """A training picture that the network sees alike."""

    label: str
    distance: float
    picture: str | None = Field(description="As the network saw it: a data URL.")


class Explained(BaseModel):
    """What the network says of a file, and why."""

    model: str
    version: str
    milliseconds: float
    classes: list[Ranked]
    picture: str = Field(description="As the network saw it: a data URL.")
    where: Where | None
    neighbours: list[Neighbour]
    notes: list[str] = Field(description="What is left out, and why.")


class Model(BaseModel):
    """A network that is served."""

    name: str
    version: str
    kind: str = Field(description="pictures, sounds or clips")
    classes: list[str]
    shape: list[int] = Field(description="Of the network's input: channels, height, width.")
    accuracy: float | None = Field(description="On the run's own test or validation split.")
    split: str | None
    board: str | None = Field(
        description="black or white, on which one may draw for it; null where in colour."
    )
    explained: bool = Field(
        description="Whether /v1/explain answers for it: of runs, not of files."
    )
    neighbours: bool = Field(description="Whether similar training pictures can be shown.")


class Models(BaseModel):
    """All networks that are served; the first is asked where none is named."""

    models: list[Model]


class Refused(BaseModel):
    """Why there is no answer."""

    error: str
