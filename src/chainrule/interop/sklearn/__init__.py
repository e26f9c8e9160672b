"""Estimators for scikit-learn, trained by the recipe of ``chainrule train``.

    from chainrule.sklearn import ChainruleClassifier, ChainruleRegressor

They take arrays, sparse matrices and data frames, also with text, dates and missing values, and
work wherever scikit-learn takes an estimator: pipelines, searches, cross-validation, calibration.
"""

from __future__ import annotations

from ..extras import need

need("sklearn", "sklearn", "chainrule.sklearn")

from .autoencoder import ChainruleAutoencoder, ChainruleOutlierDetector  # noqa: E402
from .classifier import ChainruleClassifier  # noqa: E402
from .regressor import ChainruleRegressor  # noqa: E402
from .sequences import ChainruleSequenceClassifier  # noqa: E402
from .text import ChainruleTextClassifier  # noqa: E402

__all__ = [
    "ChainruleAutoencoder",
    "ChainruleClassifier",
    "ChainruleOutlierDetector",
    "ChainruleRegressor",
    "ChainruleSequenceClassifier",
    "ChainruleTextClassifier",
]
