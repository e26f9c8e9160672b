"""Ready networks: `chainrule.models`. Each is a function that puts layers together."""

from __future__ import annotations

from .autoencoder import Autoencoder, autoencoder, conv_autoencoder
from .gan import GAN, dcgan, gan
from .gpt import GPT, gpt
from .lenet import lenet
from .mlp import mlp
from .mobilenet import mobilenet
from .pointer import Pointer
from .resnet import resnet
from .seq2seq_lstm import Seq2SeqLSTM, seq2seq_lstm
from .seq2seq_transformer import Seq2SeqTransformer, TokenEntrance, seq2seq_transformer
from .sequence import SequenceModel, gru, lstm
from .speech import SpeechEntrance, SpeechRecognizer, speech_recognizer
from .tcn import TCN, tcn
from .transformer import TransformerClassifier, transformer_classifier
from .vae import VAE, vae, vae_loss
from .vgg import vgg

__all__ = [
    "GAN",
    "GPT",
    "TCN",
    "VAE",
    "Autoencoder",
    "Pointer",
    "Seq2SeqLSTM",
    "Seq2SeqTransformer",
    "SequenceModel",
    "SpeechEntrance",
    "SpeechRecognizer",
    "TokenEntrance",
    "TransformerClassifier",
    "autoencoder",
    "conv_autoencoder",
    "dcgan",
    "gan",
    "gpt",
    "gru",
    "lenet",
    "lstm",
    "mlp",
    "mobilenet",
    "resnet",
    "seq2seq_lstm",
    "seq2seq_transformer",
    "speech_recognizer",
    "tcn",
    "transformer_classifier",
    "vae",
    "vae_loss",
    "vgg",
]
