"""Training objectives, one file each, from the outputs of a model to one number per replica."""

from invlearn.losses.contrastive import ContrastiveLoss
from invlearn.losses.info_nce import InfoNCELoss
from invlearn.losses.loss import Loss, Outputs, Statistics
from invlearn.losses.pairwise import PairwiseLoss
from invlearn.losses.separation import Separation
from invlearn.losses.supervised_dft import SupervisedDFTLoss

__all__ = [
    "ContrastiveLoss",
    "InfoNCELoss",
    "Loss",
    "Outputs",
    "PairwiseLoss",
    "Separation",
    "Statistics",
    "SupervisedDFTLoss",
]
