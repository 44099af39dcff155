"""Uses of a trained run, on files or data frames: codes, matches, clusters, scores, exports."""

from invlearn.inference.clusters import Clustering, cluster
from invlearn.inference.decision import Decision, Rule
from invlearn.inference.embed import embed, embed_chunks
from invlearn.inference.evaluate import Evaluation, evaluate, measure
from invlearn.inference.export import export_run
from invlearn.inference.match import Matcher, match
from invlearn.inference.pairs import PairMatcher, match_pairs
from invlearn.inference.review import Answered, answered, review
from invlearn.inference.suspects import suspects
from invlearn.inference.why import contributions
from invlearn.runs.trained import load_run

__all__ = [
    "Answered",
    "Clustering",
    "Decision",
    "Evaluation",
    "Matcher",
    "PairMatcher",
    "Rule",
    "answered",
    "cluster",
    "contributions",
    "embed",
    "embed_chunks",
    "evaluate",
    "export_run",
    "load_run",
    "match",
    "match_pairs",
    "measure",
    "review",
    "suspects",
]
