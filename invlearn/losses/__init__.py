"""Training objectives: what a code should be, and how far a network is from it."""

from invlearn.losses.loss import HELD_OUT_ROWS, Examples, Loss, Outputs, Statistics, held_out_outputs
from invlearn.losses.pairwise import PairwiseLoss
from invlearn.losses.supervised_dft import SupervisedDFTLoss

__all__ = [
    "HELD_OUT_ROWS",
    "Examples",
    "Loss",
    "Outputs",
    "PairwiseLoss",
    "Statistics",
    "SupervisedDFTLoss",
    "held_out_outputs",
]
