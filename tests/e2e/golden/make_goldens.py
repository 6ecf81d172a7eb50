# SPDX-License-Identifier: Apache-2.0
"""Goldens of whole models, made by Hugging Face transformers: run by hand when a golden has to change, not by the tests.

    python -m venv V && V/bin/pip install torch transformers gguf
    V/bin/python tests/e2e/golden/make_goldens.py BUILD_DIR [MODEL.gguf]

For each tiny model of tiny_models.json (written by BUILD_DIR/bin/make_tiny_model) and, when given, for MODEL.gguf: the weights are
dequantised to float32 with the package `gguf`, put into transformers' LlamaForCausalLM, and 64 (tiny: 24) ids are taken greedily in
float32, not stopped at the end token, with the 5 best logits of every step. GGUF's q and k rows are permuted for interleaved rotary
pairs (llama.cpp, convert_hf_to_gguf.py, LlamaModel.permute); that is undone here, since transformers rotates halves.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy
import torch
import transformers

HERE = pathlib.Path(__file__).parent


def field(reader, key, default=None):
    found = reader.fields.get(key)
    return default if found is None else found.contents()


def unpermute(rows, heads):
    n, cols = rows.shape
    return rows.reshape(heads, n // heads // 2, 2, cols).swapaxes(1, 2).reshape(n, cols)


def load(path):
    reader = gguf.GGUFReader(path)
    tensors = {t.name: gguf.dequantize(t.data, t.tensor_type).astype(numpy.float32) for t in reader.tensors}
    heads = field(reader, "llama.attention.head_count")
    kv_heads = field(reader, "llama.attention.head_count_kv", heads)
    dim = field(reader, "llama.embedding_length")
    head_dim = field(reader, "llama.attention.key_length", dim // heads)
    rope = {"rope_theta": field(reader, "llama.rope.freq_base", 10000.0), "rope_type": "default"}
    if field(reader, "llama.rope.scaling.type") == "linear":
        rope.update(rope_type="linear", factor=field(reader, "llama.rope.scaling.factor"))
    config = transformers.LlamaConfig(
        vocab_size=tensors["token_embd.weight"].shape[0], hidden_size=dim,
        intermediate_size=field(reader, "llama.feed_forward_length"), num_hidden_layers=field(reader, "llama.block_count"),
        num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_dim,
        rms_norm_eps=field(reader, "llama.attention.layer_norm_rms_epsilon"),
        max_position_embeddings=field(reader, "llama.context_length"), rope_parameters=rope,
        tie_word_embeddings=False, attn_implementation="eager")
    state = {"model.embed_tokens.weight": tensors["token_embd.weight"], "model.norm.weight": tensors["output_norm.weight"],
             "lm_head.weight": tensors.get("output.weight", tensors["token_embd.weight"])}
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
             "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    for layer in range(config.num_hidden_layers):
        for ours, theirs in names.items():
            value = tensors[f"blk.{layer}.{ours}.weight"]
            if ours == "attn_q":
                value = unpermute(value, heads)
            elif ours == "attn_k":
                value = unpermute(value, kv_heads)
            state[f"model.layers.{layer}.{theirs}.weight"] = value
    model = transformers.LlamaForCausalLM(config).float().eval()
    model.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})
    return model


@torch.no_grad()
def greedy(model, prompt, n):
    ids, steps, cache = [], [], None
    current = torch.tensor([prompt])
    for _ in range(n):
        out = model(current, past_key_values=cache, use_cache=True)
        cache, logits = out.past_key_values, out.logits[0, -1]
        top = torch.topk(logits, 5)
        steps.append({"ids": top.indices.tolist(), "logits": [round(x, 5) for x in top.values.tolist()]})
        ids.append(steps[-1]["ids"][0])
        current = torch.tensor([[ids[-1]]])
    return {"prompt_ids": prompt, "ids": ids, "steps": steps}


def write(path, model, prompts, n):
    golden = {"made_by": f"make_goldens.py, transformers {transformers.__version__}, torch {torch.__version__}, float32",
              "prompts": [greedy(model, p, n) for p in prompts]}
    path.write_text(json.dumps(golden, separators=(",", ":")).replace('{"prompt_ids"', '\n{"prompt_ids"') + "\n")
    print(path.name, [p["ids"][:8] for p in golden["prompts"]])


def main(build, model=None):
    torch.manual_seed(0)
    tiny = json.loads((HERE / "tiny_models.json").read_text())
    with tempfile.TemporaryDirectory() as tmp:
        for name, spec in tiny.items():
            path = pathlib.Path(tmp) / f"{name}.gguf"
            subprocess.run([f"{build}/bin/make_tiny_model", path, *spec["options"]], check=True)
            write(HERE / f"{name}.json", load(path), spec["prompts"], 24)
    if model:
        prompts = json.loads((HERE / "smollm2_prompts.json").read_text())
        write(HERE / "smollm2.json", load(model), [p["ids"] for p in prompts], 64)


if __name__ == "__main__":
    main(*sys.argv[1:])
