# SPDX-License-Identifier: Apache-2.0
"""Small Hugging Face directories, the same bytes everywhere: weights come from a hash of seed, tensor name and index, so that
only settings and goldens are in the repository. Used by the tests and by make_goldens.py; needs numpy and safetensors.
"""
import json
import zlib

import numpy
import safetensors.numpy


def splitmix64(x):
    """Steele et al. 2014, "Fast splittable pseudorandom number generators": the finaliser over an array of u64."""
    x = (x + numpy.uint64(0x9E3779B97F4A7C15)).astype(numpy.uint64)
    x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return x ^ (x >> numpy.uint64(31))


def uniform(name, shape, seed=0):
    """f32 in [-1, 1), by tensor name and index."""
    start = numpy.uint64(zlib.crc32(f"{seed}:{name}".encode())) << numpy.uint64(32)
    with numpy.errstate(over="ignore"):
        bits = splitmix64(start + numpy.arange(int(numpy.prod(shape)), dtype=numpy.uint64))
    return ((bits >> numpy.uint64(40)).astype(numpy.float64) / 2**23 - 1).astype(numpy.float32).reshape(shape)


def weight(name, shape, seed=0):
    """Norms near 1, biases and embeddings of size 1, matrices that keep the size of what goes through them."""
    values = uniform(name, shape, seed)
    if name.endswith("norm.weight"):
        return (1 + values / 4).astype(numpy.float32)
    if name.endswith(".bias"):
        return (values / 2).astype(numpy.float32)
    if "embed" in name:
        return values
    return (values * (3 / shape[-1]) ** 0.5).astype(numpy.float32)


def shapes(config):
    """Tensors of Llama's names: q, k, v apart. InternLM2's are packed from them afterwards."""
    kind = config["model_type"]
    heads, dim, ffn = config["num_attention_heads"], config["hidden_size"], config["intermediate_size"]
    kv_heads = config.get("num_key_value_heads") or heads
    head_dim = config.get("head_dim") or dim // heads
    attention_bias = config.get("bias", True) if kind.startswith("internlm") else config.get("attention_bias", False)
    qkv_bias = kind == "qwen2" or attention_bias
    all_shapes = {"model.embed_tokens.weight": (config["vocab_size"], dim), "model.norm.weight": (dim,)}
    if not config.get("tie_word_embeddings"):
        all_shapes["lm_head.weight"] = (config["vocab_size"], dim)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        linears = {"self_attn.q_proj": (heads * head_dim, dim, qkv_bias), "self_attn.k_proj": (kv_heads * head_dim, dim, qkv_bias),
                   "self_attn.v_proj": (kv_heads * head_dim, dim, qkv_bias),
                   "self_attn.o_proj": (dim, heads * head_dim, attention_bias)}
        mlp_bias = config.get("mlp_bias", False)
        linears |= {"mlp.gate_proj": (ffn, dim, mlp_bias), "mlp.up_proj": (ffn, dim, mlp_bias), "mlp.down_proj": (dim, ffn, mlp_bias)}
        for name, (rows, cols, has_bias) in linears.items():
            all_shapes[f"{at}.{name}.weight"] = (rows, cols)
            if has_bias:
                all_shapes[f"{at}.{name}.bias"] = (rows,)
        all_shapes[f"{at}.input_layernorm.weight"] = all_shapes[f"{at}.post_attention_layernorm.weight"] = (dim,)
        if kind == "qwen3":
            all_shapes[f"{at}.self_attn.q_norm.weight"] = all_shapes[f"{at}.self_attn.k_norm.weight"] = (head_dim,)
    return all_shapes


def tensors(config, seed=0):
    """Under Llama's names, f32."""
    return {name: weight(name, shape, seed) for name, shape in shapes(config).items()}


def internlm2(config, named):
    """InternLM2's names, q, k and v in one: a kv head has its query heads, its k and its v one after another."""
    heads, dim = config["num_attention_heads"], config["hidden_size"]
    kv_heads = config.get("num_key_value_heads") or heads
    head_dim = dim // heads
    names = {"embed_tokens": "tok_embeddings", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
             "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3",
             "mlp.down_proj": "feed_forward.w2"}
    out = {}
    for name, value in named.items():
        if ".self_attn.k_proj" in name or ".self_attn.v_proj" in name:
            continue
        if ".self_attn.q_proj" in name:
            q, k, v = (named[name.replace("q_proj", f"{part}_proj")].reshape(kv_heads, -1, head_dim, *value.shape[1:]) for part in "qkv")
            packed = numpy.concatenate([q, k, v], axis=1).reshape(-1, *value.shape[1:])
            out[name.replace("self_attn.q_proj", "attention.wqkv")] = packed
            continue
        for theirs, ours in names.items():
            name = name.replace(theirs, ours)
        out["output.weight" if name == "lm_head.weight" else name] = value
    return out


TYPE_NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32", "uint8": "U8"}


def raw(tensors):
    """A safetensors file of {name: (dtype name, shape, bytes)}: for types that numpy has not, and for files that are wrong."""
    header, at = {}, 0
    for name, (kind, shape, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(data for _, _, data in tensors.values())


def write(directory, config, values, shards=1, others=None):
    """The directory with config.json, `values` in as many safetensors files, and `others` {name: object or bytes}."""
    directory.mkdir(parents=True, exist_ok=True)
    names = list(values)
    if shards == 1:
        safetensors.numpy.save_file(values, directory / "model.safetensors", metadata={"format": "pt"})
    else:
        files = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
        for i, name in enumerate(files):
            safetensors.numpy.save_file({k: values[k] for k in names[i::shards]}, directory / name)
        index = {"metadata": {"total_size": sum(v.nbytes for v in values.values())},
                 "weight_map": {k: files[i % shards] for i, k in enumerate(names)}}
        (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    for name, value in {"config.json": config, **(others or {})}.items():
        (directory / name).write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return directory


def make(directory, config, seed=0, **how):
    """A plain f32 directory."""
    values = tensors(config, seed)
    return write(directory, config, internlm2(config, values) if config["model_type"] == "internlm2" else values, **how)
