"""Networks for stacks of replicas: activations are ``(R, B, C)``, parameters ``(R, in, out)``."""

from invlearn.nn.autoencoder import AutoEncoder
from invlearn.nn.components import Components
from invlearn.nn.extended import ExtendedAutoEncoder, ExtendedLayer, ExtendedNetwork, extended_features
from invlearn.nn.gaps import Gaps
from invlearn.nn.joined import Joined, JoinedAutoEncoder, Member
from invlearn.nn.linear import StackedLinear
from invlearn.nn.stack import Stack
from invlearn.nn.standard import StandardAutoEncoder, StandardNetwork

__all__ = [
    "AutoEncoder",
    "Components",
    "ExtendedAutoEncoder",
    "ExtendedLayer",
    "ExtendedNetwork",
    "Gaps",
    "Joined",
    "JoinedAutoEncoder",
    "Member",
    "Stack",
    "StackedLinear",
    "StandardAutoEncoder",
    "StandardNetwork",
    "extended_features",
]
