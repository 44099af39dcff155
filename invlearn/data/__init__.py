"""Transformation families, samples of known entities, given pairs: what examples are drawn from."""

from invlearn.data.dataset import Dataset, Grouped, Groups, OfEntities, Pairs, Spectra, Spectral, Split
from invlearn.data.entities import EntitySamples
from invlearn.data.family import TransformationFamily
from invlearn.data.labelled_pairs import LabelledPairs
from invlearn.data.permcycle import PermutationCycle
from invlearn.data.shift import Shift
from invlearn.data.shiftscale import ShiftScale
from invlearn.data.twopart import TwoPart

__all__ = [
    "Dataset",
    "EntitySamples",
    "Grouped",
    "Groups",
    "LabelledPairs",
    "OfEntities",
    "Pairs",
    "PermutationCycle",
    "Shift",
    "ShiftScale",
    "Spectra",
    "Spectral",
    "Split",
    "TransformationFamily",
    "TwoPart",
]
