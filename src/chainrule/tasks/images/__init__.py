"""From folders of images to a trained network that takes image files.

Example:
    >>> from chainrule.tasks.images import ImageOptions
    >>> ImageOptions(augment="flip,shift", size=(32, 32)).augment
    'flip,shift'
"""

from ..kinds.images import KIND, ImageOptions
from .augment import Augment
from .plan import ImagePlan, continuation, predictor, train_images

#: As a kind of data; see `chainrule.tasks`.
Options, NEW, train = KIND.options, KIND.new, train_images
PLANS = (ImagePlan,)

__all__ = ["Augment", "ImageOptions", "continuation", "predictor", "train_images"]
