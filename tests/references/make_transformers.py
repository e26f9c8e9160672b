"""A small GPT-2 as Hugging Face's transformers writes it, with its values and gradients.

    pip install torch transformers
    python tests/references/make_transformers.py

in an environment of its own. Written are the file of the weights, the configuration that lies
beside it, and in `weights/transformers.json` tokens, logits, the loss, the sums of the gradients
(`onnx_networks.py` says which), and the tokens that greedy decoding adds.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from pathlib import Path

import torch
import transformers

sys.path.insert(0, str(Path(__file__).parent))
from onnx_networks import sums

HERE = Path(__file__).parent / "weights"


def main() -> None:
    torch.manual_seed(0)
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    sizes = {"vocab_size": 17, "n_positions": 8, "n_embd": 12, "n_layer": 2, "n_head": 3}
    ends = {"bos_token_id": 0, "eos_token_id": None}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **none, **ends)).eval()
    for variable in model.parameters():
        torch.nn.init.normal_(variable, std=0.3)
    tokens = torch.arange(14).reshape(2, 7) * 5 % 17
    found = model(tokens, labels=tokens)
    found.loss.backward()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        kept = base64.b64encode((Path(folder) / "model.safetensors").read_bytes()).decode()
        (HERE / "transformers.safetensors.base64").write_text(kept)
        config = json.loads((Path(folder) / "config.json").read_text())
    added = model.generate(tokens[:1, :3], max_new_tokens=4, do_sample=False)
    told = {
        "config": config,
        "x": tokens.tolist(),
        "y": found.logits.tolist(),
        "loss": found.loss.item(),
        "gradients": {name: sums(p.grad.numpy()) for name, p in model.named_parameters()},
        "generated": added.tolist(),
    }
    (HERE / "transformers.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
