# SPDX-License-Identifier: Apache-2.0
"""4-bit linears as AutoAWQ ("gemm") and AutoGPTQ write them, packed and unpacked again by their rules, and a Llama evaluated in
numpy's float64. Rounding to nearest in groups: what the codes are does not matter here, what they mean does.
"""
import numpy

AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # AutoAWQ, awq/utils/packing_utils.py: output 8c + order[i] is nibble i of word c


def quantise(w, group):
    """Codes [N, K] 0..15, zero points and f16 scales [N, K / group] of a matrix."""
    n, k = w.shape
    groups = w.reshape(n, k // group, group).astype(numpy.float64)
    low, high = numpy.minimum(groups.min(2), 0), numpy.maximum(groups.max(2), 0)
    scale = ((high - low) / 15).astype(numpy.float16)
    zero = numpy.clip(numpy.rint(-low / scale), 0, 15).astype(numpy.uint32)
    codes = numpy.clip(numpy.rint(groups / scale[..., None]) + zero[..., None], 0, 15).astype(numpy.uint32)
    return codes.reshape(n, k), zero, scale


def values(codes, zero, scale):
    """(q - z) * s as f32, which holds it exactly: 5 bits times 11."""
    group = codes.shape[1] // zero.shape[1]
    z, s = (numpy.repeat(x.astype(numpy.float64), group, axis=1) for x in (zero, scale))
    return ((codes - z) * s).astype(numpy.float32)


def pack_words(nibbles, order):
    """[rows, 8 n] -> int32 [rows, n]: element order[i] of each eight is nibble i."""
    eights = nibbles.reshape(len(nibbles), -1, 8)
    words = numpy.zeros(eights.shape[:2], numpy.uint32)
    for i, j in enumerate(order):
        words |= eights[:, :, j].astype(numpy.uint32) << numpy.uint32(4 * i)
    return words.view(numpy.int32)


def unpack_words(words, order):
    eights = numpy.zeros((*words.shape, 8), numpy.uint32)
    for i, j in enumerate(order):
        eights[:, :, j] = words.view(numpy.uint32) >> numpy.uint32(4 * i) & 15
    return eights.reshape(len(words), -1)


def to_awq(codes, zero, scale):
    return {"qweight": pack_words(codes.T, AWQ_ORDER), "qzeros": pack_words(zero.T, AWQ_ORDER), "scales": numpy.ascontiguousarray(scale.T)}


def from_awq(t):
    return unpack_words(t["qweight"], AWQ_ORDER).T, unpack_words(t["qzeros"], AWQ_ORDER).T, t["scales"].T


def to_gptq(codes, zero, scale, shift):
    """shift 1: the first format, which keeps zero points less one, so that a 0 cannot be kept."""
    straight = range(8)
    group = codes.shape[1] // zero.shape[1]
    return {"qweight": numpy.ascontiguousarray(pack_words(codes, straight).T), "qzeros": pack_words((zero - shift).T, straight),
            "scales": numpy.ascontiguousarray(scale.T), "g_idx": (numpy.arange(codes.shape[1]) // group).astype(numpy.int32)}


def from_gptq(t, shift):
    straight = range(8)
    return (unpack_words(numpy.ascontiguousarray(t["qweight"].T), straight), unpack_words(t["qzeros"], straight).T + shift,
            t["scales"].T)


def checkpoint_of(tensors, method, group, shift=0, skip=("lm_head",)):
    """Quantised tensors, and the same model in f32 by unpacking them."""
    packed, plain = {}, {}
    for name, value in tensors.items():
        module = name.removesuffix(".weight")
        if value.ndim != 2 or "embed" in name or any(part in module for part in skip):
            packed[name] = plain[name] = value
            continue
        codes, zero, scale = quantise(value, value.shape[1] if group < 0 else group)
        zero = numpy.maximum(zero, shift)
        made = to_awq(codes, zero, scale) if method == "awq" else to_gptq(codes, zero, scale, shift)
        packed |= {f"{module}.{kind}": t for kind, t in made.items()}
        plain[name] = values(*(from_awq(made) if method == "awq" else from_gptq(made, shift)))
    return packed, plain


def llama_logits(config, t, ids):
    """Llama in float64 (Touvron et al. 2023), all positions at once, without scaling of rope."""
    heads, kv_heads, dim = config["num_attention_heads"], config["num_key_value_heads"], config["hidden_size"]
    head_dim, n = dim // heads, len(ids)
    t = {k: v.astype(numpy.float64) for k, v in t.items()}

    def norm(x, w):
        return x / numpy.sqrt((x * x).mean(1, keepdims=True) + config["rms_norm_eps"]) * w

    angle = numpy.outer(numpy.arange(n), config["rope_theta"] ** (-numpy.arange(0, head_dim, 2) / head_dim))

    def turn(x):
        a, b = x[..., :head_dim // 2], x[..., head_dim // 2:]
        c, s = numpy.cos(angle)[:, None], numpy.sin(angle)[:, None]
        return numpy.concatenate([a * c - b * s, b * c + a * s], axis=-1)

    x = t["model.embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        w = {k: t[f"model.layers.{layer}.{k}.weight"] for k in
             ("input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
              "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")}
        h = norm(x, w["input_layernorm"])
        q = turn((h @ w["self_attn.q_proj"].T).reshape(n, heads, head_dim))
        k = turn((h @ w["self_attn.k_proj"].T).reshape(n, kv_heads, head_dim)).repeat(heads // kv_heads, axis=1)
        v = (h @ w["self_attn.v_proj"].T).reshape(n, kv_heads, head_dim).repeat(heads // kv_heads, axis=1)
        scores = numpy.einsum("ihd,jhd->hij", q, k) / head_dim**0.5 + numpy.triu(numpy.full((n, n), -numpy.inf), 1)
        p = numpy.exp(scores - scores.max(2, keepdims=True))
        a = numpy.einsum("hij,jhd->ihd", p / p.sum(2, keepdims=True), v).reshape(n, -1)
        x = x + a @ w["self_attn.o_proj"].T
        h = norm(x, w["post_attention_layernorm"])
        gate = h @ w["mlp.gate_proj"].T
        x = x + (gate / (1 + numpy.exp(-gate)) * (h @ w["mlp.up_proj"].T)) @ w["mlp.down_proj"].T
    return norm(x, t["model.norm.weight"]) @ t["lm_head.weight"].T
