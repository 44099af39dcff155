"""Transformation families and the examples drawn from them."""

from invlearn.data.examples import Pairs, Spectra
from invlearn.data.family import Split, TransformationFamily
from invlearn.data.permcycle import PermutationCycle
from invlearn.data.shift import Shift
from invlearn.data.shiftscale import ShiftScale
from invlearn.data.twopart import TwoPart

__all__ = [
    "Pairs",
    "PermutationCycle",
    "Shift",
    "ShiftScale",
    "Spectra",
    "Split",
    "TransformationFamily",
    "TwoPart",
]
