"""Encoders in closed form: features that vary between entities but not within them, by linear algebra."""

from invlearn.closed_form.candidates import ROWS_PER_FEATURE, Candidate, lifts_of
from invlearn.closed_form.convolution import Convolution
from invlearn.closed_form.fit import fit
from invlearn.closed_form.folds import Fold, fit_to_all
from invlearn.closed_form.foreseen import searches
from invlearn.closed_form.fourier import Fourier
from invlearn.closed_form.lift import Monomials
from invlearn.closed_form.network import Normalize, SolvedEncoder, SolvedNetwork
from invlearn.closed_form.observed import Observed, observe
from invlearn.closed_form.polynomial import Polynomial
from invlearn.closed_form.principal import principal_components
from invlearn.closed_form.selected import Selected
from invlearn.closed_form.settings import ClosedForm, Normalization
from invlearn.closed_form.solved import Solved
from invlearn.closed_form.stacking import padded, stacked
from invlearn.closed_form.start import Start, find_start
from invlearn.closed_form.third import is_sparse

__all__ = [
    "ROWS_PER_FEATURE",
    "Candidate",
    "ClosedForm",
    "Convolution",
    "Fold",
    "Fourier",
    "Monomials",
    "Normalization",
    "Normalize",
    "Observed",
    "Polynomial",
    "Selected",
    "Solved",
    "SolvedEncoder",
    "SolvedNetwork",
    "Start",
    "find_start",
    "fit",
    "fit_to_all",
    "is_sparse",
    "lifts_of",
    "observe",
    "padded",
    "principal_components",
    "searches",
    "stacked",
]
