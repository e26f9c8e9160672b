"""Optimizers, learning-rate schedules, gradient clipping, averages of weights."""

from __future__ import annotations

from .averaging import EMA, SWA
from .clipping import clip_by_norm, clip_by_value, global_norm
from .optimizer import OPTIMIZERS, Optimizer, groups_by_path
from .optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop
from .schedules import (
    SCHEDULES,
    Average,
    ChainedScheduler,
    Constant,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    EMADriven,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    Schedule,
    SequentialLR,
    StepLR,
    Warmup,
    make_schedule,
)

__all__ = [
    "EMA",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "SWA",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Average",
    "ChainedScheduler",
    "Constant",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "EMADriven",
    "ExponentialLR",
    "LinearLR",
    "Lion",
    "MultiStepLR",
    "NAdam",
    "OneCycleLR",
    "Optimizer",
    "PolynomialLR",
    "RAdam",
    "RMSprop",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "Warmup",
    "clip_by_norm",
    "clip_by_value",
    "global_norm",
    "groups_by_path",
    "make_schedule",
]
