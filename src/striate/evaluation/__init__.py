"""A network's answers over a data set, the views they are averaged over, and what follows."""

from .answers import Evaluation
from .asking import answer, evaluate, logits, opened, own_split, preferred, stream
from .views import PLAIN, VIEWS, Views, averaged, choose_views

__all__ = [
    "PLAIN",
    "VIEWS",
    "Evaluation",
    "Views",
    "answer",
    "averaged",
    "choose_views",
    "evaluate",
    "logits",
    "opened",
    "own_split",
    "preferred",
    "stream",
]
