"""Transformation families and the examples drawn from them."""

from invlearn.data.dataset import Dataset, Pairs, Spectra, Split
from invlearn.data.family import TransformationFamily
from invlearn.data.permcycle import PermutationCycle
from invlearn.data.shift import Shift
from invlearn.data.shiftscale import ShiftScale
from invlearn.data.twopart import TwoPart

__all__ = [
    "Dataset",
    "Pairs",
    "PermutationCycle",
    "Shift",
    "ShiftScale",
    "Spectra",
    "Split",
    "TransformationFamily",
    "TwoPart",
]
