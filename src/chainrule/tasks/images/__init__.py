"""From folders of images to a trained network that takes image files.

Example:
    >>> from chainrule.tasks.images import ImageOptions
    >>> ImageOptions(augment="flip,shift", size=(32, 32)).augment
    'flip,shift'
"""

from .augment import Augment
from .options import ImageOptions
from .pipeline import continuation, predictor, train_images

#: As a kind of data; see `chainrule.tasks`.
Options, train = ImageOptions, train_images
NEW = "NEW_IMAGES"

__all__ = ["Augment", "ImageOptions", "continuation", "predictor", "train_images"]
