"""Sources of examples: transformation families, samples of entities, given pairs, and draws from them."""

from invlearn.data.batches import Batch, EntityBatch, Pairs, Spectra, Targets
from invlearn.data.contract import check_family
from invlearn.data.dataset import (
    GALLERY,
    Dataset,
    HasCompleteInvariant,
    HasEntities,
    HasGaps,
    HasLabels,
    HasSpectra,
    Split,
)
from invlearn.data.draws import Draws
from invlearn.data.entity_samples import EntitySamples, first_pairs
from invlearn.data.family import TransformationFamily
from invlearn.data.labelled_pairs import LabelledPairs
from invlearn.data.permcycle import PermutationCycle
from invlearn.data.samplers import DrawnPairs, EntityBatches, FourierCodes, Sampler
from invlearn.data.shift import Shift
from invlearn.data.shiftscale import ShiftScale
from invlearn.data.spectral import SpectralFamily
from invlearn.data.twopart import TwoPart

__all__ = [
    "GALLERY",
    "Batch",
    "Dataset",
    "DrawnPairs",
    "Draws",
    "EntityBatch",
    "EntityBatches",
    "EntitySamples",
    "FourierCodes",
    "HasCompleteInvariant",
    "HasEntities",
    "HasGaps",
    "HasLabels",
    "HasSpectra",
    "LabelledPairs",
    "Pairs",
    "PermutationCycle",
    "Sampler",
    "Shift",
    "ShiftScale",
    "Spectra",
    "SpectralFamily",
    "Split",
    "Targets",
    "TransformationFamily",
    "TwoPart",
    "check_family",
    "first_pairs",
]
