# SPDX-License-Identifier: Apache-2.0
"""goldens.json: logits of every model of models.py at 64 positions, by Hugging Face transformers in float32. Run by hand when a
golden has to change, not by the tests:

    python -m venv V && V/bin/pip install torch transformers safetensors numpy
    V/bin/python tests/model/hf/make_goldens.py

One forward over all ids: so dynamic NTK and longrope have the frequencies of the whole length. InternLM and InternLM2, whose
classes are not part of transformers, are built as LlamaForCausalLM with the biases that their own classes have (modeling_internlm.py
of internlm/internlm-chat-7b, modeling_internlm2.py of internlm/internlm2-chat-7b: the same equations; their rope is Llama's dynamic
one). logn is Qwen's (modeling_qwen.py of Qwen/Qwen-7B): queries past the trained length L grow by log(position + 1) / log(L).
"""
import base64
import json
import math
import pathlib

import checkpoint
import models
import numpy
import torch
import transformers
from transformers.masking_utils import AttentionMaskInterface, eager_mask
from transformers.models.llama import modeling_llama

HERE = pathlib.Path(__file__).parent
AS_LLAMA = ("internlm", "internlm2")


def reference_config(config):
    """What transformers has to be told of a config.json that is not one of its own."""
    config = {k: v for k, v in config.items() if k not in ("architectures", "use_logn_attn", "seq_length")}
    kind = config.pop("model_type")
    if kind in AS_LLAMA:
        config["attention_bias"] = config.pop("bias")
        config.pop("rotary", None)
    if kind == "internlm":
        config |= {"rope_theta": 5000.0, "rope_scaling": {"rope_type": "dynamic", "factor": 1.0}}
    if "rope_parameters" in config:
        config.pop("rope_theta")
    return transformers.AutoConfig.for_model("llama" if kind in AS_LLAMA else kind, **config)


def logn_attention(length):
    def attend(module, query, key, value, attention_mask, **kwargs):
        position = torch.arange(query.shape[2], dtype=torch.float32)
        grown = torch.clamp(torch.log(position + 1) / math.log(length), min=1)
        return modeling_llama.eager_attention_forward(module, query * grown[None, None, :, None], key, value, attention_mask, **kwargs)
    return attend


@torch.no_grad()
def logits(config):
    ours = reference_config(config)
    ours._attn_implementation = "eager"
    if config.get("use_logn_attn"):
        transformers.AttentionInterface.register("logn", logn_attention(config["seq_length"]))
        AttentionMaskInterface.register("logn", eager_mask)
        ours._attn_implementation = "logn"
    model = transformers.AutoModelForCausalLM.from_config(ours, dtype=torch.float32).eval()
    state = {name: torch.from_numpy(value.copy()) for name, value in checkpoint.tensors(config).items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return model(torch.tensor([models.ids(config)]), use_cache=False).logits[0].numpy().astype("<f4")


def main():
    golden = {"made_by": f"make_goldens.py, transformers {transformers.__version__}, torch {torch.__version__}, float32"}
    for name, config in models.CONFIGS.items():
        rows = logits(config)
        assert rows.shape == (models.N_IDS, config["vocab_size"]) and numpy.isfinite(rows).all()
        golden[name] = base64.b64encode(rows.tobytes()).decode()
        print(f"{name:24} largest logit {abs(rows).max():.2f}, of the last position {rows[-1].round(3)[:4]}")
    (HERE / "goldens.json").write_text(json.dumps(golden, indent=0) + "\n")


if __name__ == "__main__":
    main()
