"""The method as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import torch
from omegaconf import OmegaConf

from invlearn.config import GROUPS
from invlearn.config.build import defaults_of
from invlearn.config.folder import conf_dir
from invlearn.config.migrate import KEYS
from invlearn.data import EntitySamples, Split
from invlearn.data.seeding import seeded_generator
from invlearn.encoder import InvariantEncoder as Encoder
from invlearn.encoder import Scaler
from invlearn.errors import UserError, nearest
from invlearn.evaluation.calibration import Calibration
from invlearn.evaluation.evaluate import calibrate
from invlearn.files import EntityFile, Prepared, fill, fit_gaps
from invlearn.files.notes import choose_scaling, unlike_features
from invlearn.files.scale import Scaling, medians, scale_of, spread_of
from invlearn.inference.clusters import NEIGHBOURS, RULE, Linkage, cluster_codes
from invlearn.training.experiment import Experiment
from invlearn.training.learner import learn
from invlearn.training.networks import is_solved

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.neighbors import NearestNeighbors
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("invlearn.sklearn needs scikit-learn 1.6 or later: pip install 'invlearn[sklearn]'") from error

__all__ = ["InvariantEncoder"]

PAIRS_PER_SAMPLE = 100
"""Pairs per sample in an epoch; with fewer than 200 samples an epoch is shorter than usual."""

INPUT: dict[str, Any] = {"dtype": [np.float64, np.float32], "ensure_all_finite": "allow-nan"}
"""How samples are validated."""

FEW_HELD_OUT = "fit held out too few entities; use a larger validation_fraction, or more entities"
"""Why there may be no calibration."""

OF_FILES = defaults_of(EntityFile)
"""Defaults of ``dataset=entities``; its sizes are upper limits here."""


class InvariantEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learn a code that is equal for samples of one entity and different for samples of others.

    Args:
        model: ``extended`` or ``standard``, which are trained, or ``polynomial``, ``convolution`` or ``fourier``, which
            are closed forms and ignore ``pairs``, ``epochs`` and ``batch_size``.
        invariant: Width of the code; ``auto`` is the number of features, or for a closed form the best width on
            validation entities.
        distance: Distance between entities: ``binary``, 1, or ``observed``, the smallest distance between their
            samples.
        pairs: ``batch``, all pairs of a batch of entities, or ``drawn``, single pairs.
        scaling: ``common``, one offset and one factor for all features; ``per_feature``; ``none``; ``auto`` is
            ``per_feature`` if the features' units are mixed, else ``common``.
        epochs: Passes over drawn pairs, at least 1.
        batch_size: Pairs per step, or entities for ``pairs="batch"``; ``auto`` is 128, or 16.
        validation_fraction: Share of the entities held out to choose the best epoch, from 0 to below 1; with too few
            entities to hold out, all of them are used for both training and validation.
        settings: Other keys of a run's config, as in ``{"model.depth": 3, "optimizer": "sgd"}``; they override the
            arguments here. Keys of ``dataset`` are for files only.
        device: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``.
        random_state: Seed of weights, splits and pairs.

    Attributes:
        encoder_: The trained ``invlearn.encoder.InvariantEncoder``, in double precision on the CPU.
        calibration_: Thresholds and a model of probabilities, from the entities that ``validation_fraction`` holds out.
            None if these are too few.
        model_: Its network, a stack of one.
        scale_: The scaling of samples.
        n_features_in_: Features d.
        n_iter_: The best epoch or, for a closed form, the best candidate.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = np.stack([np.roll(x, s) for x in rng.uniform(-1, 1, (50, 6)) for s in range(3)])
        >>> codes = InvariantEncoder(epochs=2, random_state=0).fit_transform(X, np.repeat(np.arange(50), 3))
        >>> codes.shape
        (150, 6)
    """

    def __init__(
        self,
        *,
        model: Literal["extended", "standard", "polynomial", "convolution", "fourier"] = "extended",
        invariant: int | Literal["auto"] = "auto",
        distance: Literal["observed", "binary"] = "binary",
        pairs: Literal["drawn", "batch"] = "batch",
        scaling: Literal["auto", "common", "per_feature", "none"] = "auto",
        epochs: int = 30,
        batch_size: int | Literal["auto"] = "auto",
        validation_fraction: float = 0.1,
        settings: Mapping[str, Any] | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.model = model
        self.invariant = invariant
        self.distance: Literal["observed", "binary"] = distance
        self.pairs = pairs
        self.scaling: Scaling = scaling
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.settings = settings
        self.device = device
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.non_deterministic = False
        return tags

    def fit(self, X: Any, y: Any) -> InvariantEncoder:
        """Train on samples ``(n, d)`` and their entities ``(n,)``, of any type.

        NaN stands for a missing value, which is filled from the other features of its sample, here and in use.

        Raises:
            ValueError: A setting or the data are invalid, or there is only one entity.
        """
        X, y = validate_data(self, X, y, **INPUT, ensure_min_samples=2)
        try:
            labels, entity = np.unique(y, return_inverse=True)
        except TypeError as error:
            raise ValueError("y: entities must be of one sortable type") from error
        if len(labels) < 2:
            raise ValueError(f"all samples are of 1 class, {labels[:1].tolist()[0]!r}; at least 2 entities are needed")
        if np.bincount(entity).max() < 2:
            warnings.warn("no entity has two samples: there is no invariance to learn", UserWarning, stacklevel=2)
        seed = int(check_random_state(self.random_state).randint(2**31))
        splits = self._splits(len(labels), seed)
        training = np.isin(entity, splits["train"].numpy())
        self._check_gaps(X, training)
        centre = medians(X).astype(np.float64)
        centred = X - centre
        names = getattr(self, "feature_names_in_", [f"feature {index}" for index in range(X.shape[1])])
        scaling = choose_scaling(centred, names, centre)[0] if self.scaling == "auto" else self.scaling
        self.scale_ = scale_of(centred[training], scaling, centre=centre)
        if scaling == "common":
            for line in unlike_features(spread_of(centred, centre), names):
                warnings.warn(f"{line}; scaling='per_feature' scales each separately", UserWarning, stacklevel=2)
        samples, entities = torch.from_numpy(self.scale_(X.astype(np.float64))), torch.from_numpy(entity)
        gaps = fit_gaps(samples, entities, torch.from_numpy(training), seed)
        dataset = EntitySamples(
            samples=fill(samples, gaps),
            entity=entities,
            splits=splits,
            distance=self.distance,
            samples_per_entity=OF_FILES["samples_per_entity"],
            size=min(OF_FILES["size"], PAIRS_PER_SAMPLE * int(training.sum())),
            valid_size=min(OF_FILES["valid_size"], 20 * len(X)),
            test_size=OF_FILES["test_size"],
            seed=seed,
        )
        experiment = Experiment.from_config(self._config(seed), prepared=Prepared(dataset, dataset, gaps=gaps))
        self.encoder_, self.n_iter_, self.calibration_ = _trained(experiment)
        self.encoder_.scaler = Scaler(self.scale_.offset, self.scale_.factor)
        self.model_ = self.encoder_.network
        self._n_features_out = self.encoder_.invariant
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Invariant codes ``(n, invariant)`` of samples ``(n, d)``, of the same precision."""
        check_is_fitted(self)
        X = validate_data(self, X, **INPUT, reset=False)
        return self._codes(np.asarray(X))

    def _codes(self, X: np.ndarray) -> np.ndarray:
        z_invariant, _ = self.encoder_.encode(X.astype(np.float64))
        return z_invariant.astype(X.dtype)

    def score(self, X: Any, y: Any) -> float:
        """Share of samples ``(n, d)`` whose nearest other sample, by code, is of the same entity, 0 to 1.

        The entities are ``y``, ``(n,)``. Entities with a single sample are not counted; if none is left, it is 0.
        """
        check_is_fitted(self)
        X, y = validate_data(self, X, y, **INPUT, reset=False)
        codes = self._codes(X)
        if len(codes) < 2:
            return 0.0
        others = NearestNeighbors(n_neighbors=1).fit(codes).kneighbors(return_distance=False)[:, 0]
        _, entity, counts = np.unique(y, return_inverse=True, return_counts=True)
        counted = counts[entity] > 1
        return float((entity[others] == entity)[counted].mean()) if counted.any() else 0.0

    def pair_probability(self, X: Any, X_prime: Any, *, prior: float | None = None) -> np.ndarray:
        """Probability that two samples are of one entity, for pairs of samples, ``(n,)``.

        Args:
            X: One sample of each pair, ``(n, d)``.
            X_prime: The other, ``(n, d)``.
            prior: Share of the pairs that are of one entity, above 0 and at most 1; by default it is estimated from
                their distances.

        Raises:
            ValueError: The shapes differ, the prior is out of range, or fit held out too few entities.
        """
        model = self._calibrated().model
        if model is None:
            raise ValueError(f"there are no probabilities: {FEW_HELD_OUT}")
        if prior is not None and not 0 < prior <= 1:
            raise ValueError(f"prior must be above 0 and at most 1, got {prior}")
        codes, codes_prime = self.transform(X), self.transform(X_prime)
        if len(codes) != len(codes_prime):
            raise ValueError(f"X has {len(codes)} samples and X_prime {len(codes_prime)}; pairs need one of each")
        distance = np.linalg.norm(codes.astype(float) - codes_prime, axis=1)
        return model.probability(distance, prior=model.estimate_prior(distance) if prior is None else prior)

    def cluster(self, X: Any, *, fpr: float = RULE.fpr, method: Linkage = "average") -> np.ndarray:
        """Find the entities of samples without labels.

        Args:
            X: Samples ``(n, d)``, at least 2.
            fpr: Acceptable share of false links among samples without a partner, above 0 and below 1.
            method: ``average`` linkage of linked samples, or ``single``.

        Returns:
            Cluster numbers ``(n,)``, from 0 in the order of their first samples.

        Raises:
            ValueError: There is only one sample, a setting is out of range, or fit held out too few entities.
        """
        calibration = self._calibrated()
        if method not in get_args(Linkage):
            raise ValueError(f"method must be average or single, got {method!r}")
        codes = self.transform(X)
        if len(codes) < 2:
            raise ValueError(f"clusters need at least 2 samples, got {len(codes)}")
        search = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(codes) - 1)).fit(codes)
        distances, indices = search.kneighbors()
        limit = calibration.threshold(fpr, among=len(codes) - 1).distance
        return cluster_codes(codes, distances, indices, limit, method)

    def _calibrated(self) -> Calibration:
        check_is_fitted(self)
        if self.calibration_ is None:
            raise ValueError(f"there are no thresholds: {FEW_HELD_OUT}")
        return self.calibration_

    def _check_gaps(self, X: np.ndarray, training: np.ndarray) -> None:
        missing = np.isnan(X)
        if missing.all(axis=1).any():
            raise ValueError(f"sample {int(missing.all(axis=1).argmax())} of X has no value")
        if missing[training].all(axis=0).any():
            index = int(missing[training].all(axis=0).argmax())
            raise ValueError(f"feature {index} of X has no value in any training sample")

    def _splits(self, count: int, seed: int) -> dict[Split, torch.Tensor]:
        if not 0 <= self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be from 0 to below 1, got {self.validation_fraction}")
        held_out = round(self.validation_fraction * count)
        if held_out < 2 or count - held_out < 2:
            everything = torch.arange(count)
            return {"train": everything, "valid": everything}
        order = torch.randperm(count, generator=seeded_generator(seed, "split"))
        return {"train": order[held_out:], "valid": order[:held_out]}

    def _config(self, seed: int) -> dict[str, Any]:
        settings = {KEYS.get(key, key): value for key, value in (self.settings or {}).items()}
        known = {*GROUPS, "device", "dtype", "engine", "seed", "replicas", "threads"}
        for key in settings:
            if (first := str(key).partition(".")[0]) == "dataset":
                raise ValueError(f"settings: {key} is for files; here fit gets the samples")
            if first not in known:
                raise ValueError(f"settings: there is no key {key}{nearest(first, known)}")
        if settings.get("replicas", 1) != 1:
            raise ValueError(f"settings: replicas must be 1, got {settings['replicas']}; an encoder is one network")
        options = {"model": self.model, "loss": "pairwise", "optimizer": "adamw", "trainer": "default"}
        model = _group("model", settings.get("model", self.model))
        solved = is_solved(model)
        if solved:
            options |= dict.fromkeys(("loss", "optimizer", "trainer"), "none")
        options |= {group: settings.pop(group) for group in options if group in settings}
        config = OmegaConf.create({group: _group(group, option) for group, option in options.items()})
        given = {"model.components": self.invariant} if solved else self._training_settings(options["loss"])
        given |= {"device": self.device, "seed": seed, **settings}
        for key, value in given.items():
            OmegaConf.update(config, key, value)
        plain = OmegaConf.to_container(config)
        assert isinstance(plain, dict)
        return {"dataset": {}} | {str(key): value for key, value in plain.items()}

    def _training_settings(self, loss: str) -> dict[str, Any]:
        """The arguments as keys of a trained network's config."""
        return {
            "loss.invariant": self.invariant,
            **({"loss.pairs": self.pairs} if loss == "pairwise" else {}),
            "trainer.epochs": self.epochs,
            "trainer.batch_size": self.batch_size,
        }


def _group(group: str, option: str) -> dict[str, Any]:
    """A config group's option.

    Raises:
        ValueError: There is no option of this name.
    """
    file = conf_dir() / group / f"{option}.yaml"
    if not file.is_file():
        choices = [path.stem for path in file.parent.glob("*.yaml")]
        raise ValueError(f"{group}: there is no {option!r}{nearest(str(option), choices)}")
    return {str(key): value for key, value in OmegaConf.load(file).items() if key != "defaults"}


def _trained(experiment: Experiment) -> tuple[Encoder, int, Calibration | None]:
    """The encoder at its best epoch, in double precision on the CPU, that epoch, and its calibration.

    Raises:
        UserError: The loss was not finite.
    """
    state = learn(experiment)
    if bool(state.diverged.all()):
        raise UserError("the loss became infinite or NaN: lower optimizer.lr in settings")
    calibration = _calibrate(experiment, state.encoder)
    return state.encoder.double().cpu().requires_grad_(False), int(state.best_epoch), calibration


def _calibrate(experiment: Experiment, encoder: Encoder) -> Calibration | None:
    """Calibrate code distances on held-out entities."""
    dataset = experiment.data.dataset
    assert isinstance(dataset, EntitySamples)
    held_out = dataset.splits["valid"]
    counts = dataset.entity.bincount()[held_out]
    if bool(torch.isin(held_out, dataset.splits["train"]).any()) or int(counts.max()) < 2:
        return None
    return calibrate(experiment.draws(encoder.device), encoder)[0]
