"""Networks for stacks of replicas: activations are ``(R, B, C)``, parameters ``(R, in, out)``."""

from invlearn.nn.autoencoder import AutoEncoder, LearningRates
from invlearn.nn.extended import ExtendedAutoEncoder, ExtendedLayer, ExtendedNetwork, extended_features
from invlearn.nn.linear import StackedLinear
from invlearn.nn.standard import StandardAutoEncoder, StandardNetwork

__all__ = [
    "AutoEncoder",
    "ExtendedAutoEncoder",
    "ExtendedLayer",
    "ExtendedNetwork",
    "LearningRates",
    "StackedLinear",
    "StandardAutoEncoder",
    "StandardNetwork",
    "extended_features",
]
