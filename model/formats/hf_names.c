/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/hf_names.h"

/* Llama, and what took its names: Mistral, InternLM, Qwen2. */
const tn_hf_names tn_hf_names_llama = {
    .embed = "model.embed_tokens",
    .norm = "model.norm",
    .head = "lm_head",
    .layers = "model.layers",
    .role = { { "input_layernorm", "attn_norm", 0, TN_HF_WHOLE },
              { "self_attn.q_proj", "attn_q", TN_HF_BIAS_QKV, TN_HF_WHOLE },
              { "self_attn.k_proj", "attn_k", TN_HF_BIAS_QKV, TN_HF_WHOLE },
              { "self_attn.v_proj", "attn_v", TN_HF_BIAS_QKV, TN_HF_WHOLE },
              { "self_attn.o_proj", "attn_output", TN_HF_BIAS_OUT, TN_HF_WHOLE },
              { "post_attention_layernorm", "ffn_norm", 0, TN_HF_WHOLE },
              { "mlp.gate_proj", "ffn_gate", TN_HF_BIAS_MLP, TN_HF_WHOLE },
              { "mlp.up_proj", "ffn_up", TN_HF_BIAS_MLP, TN_HF_WHOLE },
              { "mlp.down_proj", "ffn_down", TN_HF_BIAS_MLP, TN_HF_WHOLE } },
};

/* InternLM2: q, k and v in one linear (modeling_internlm2.py of internlm/internlm2-chat-7b). */
const tn_hf_names tn_hf_names_internlm2 = {
    .embed = "model.tok_embeddings",
    .norm = "model.norm",
    .head = "output",
    .layers = "model.layers",
    .role = { { "attention_norm", "attn_norm", 0, TN_HF_WHOLE },
              { "attention.wqkv", "attn_q", TN_HF_BIAS_QKV, TN_HF_PACKED_Q },
              { "attention.wqkv", "attn_k", TN_HF_BIAS_QKV, TN_HF_PACKED_K },
              { "attention.wqkv", "attn_v", TN_HF_BIAS_QKV, TN_HF_PACKED_V },
              { "attention.wo", "attn_output", TN_HF_BIAS_OUT, TN_HF_WHOLE },
              { "ffn_norm", "ffn_norm", 0, TN_HF_WHOLE },
              { "feed_forward.w1", "ffn_gate", TN_HF_BIAS_MLP, TN_HF_WHOLE },
              { "feed_forward.w3", "ffn_up", TN_HF_BIAS_MLP, TN_HF_WHOLE },
              { "feed_forward.w2", "ffn_down", TN_HF_BIAS_MLP, TN_HF_WHOLE } },
};

/* Llama's, and norms of q and k. */
const tn_hf_names tn_hf_names_qwen3 = {
    .embed = "model.embed_tokens",
    .norm = "model.norm",
    .head = "lm_head",
    .layers = "model.layers",
    .role = { { "input_layernorm", "attn_norm", 0, TN_HF_WHOLE },
              { "self_attn.q_proj", "attn_q", TN_HF_BIAS_QKV, TN_HF_WHOLE },
              { "self_attn.k_proj", "attn_k", TN_HF_BIAS_QKV, TN_HF_WHOLE },
              { "self_attn.v_proj", "attn_v", TN_HF_BIAS_QKV, TN_HF_WHOLE },
              { "self_attn.q_norm", "attn_q_norm", 0, TN_HF_WHOLE },
              { "self_attn.k_norm", "attn_k_norm", 0, TN_HF_WHOLE },
              { "self_attn.o_proj", "attn_output", TN_HF_BIAS_OUT, TN_HF_WHOLE },
              { "post_attention_layernorm", "ffn_norm", 0, TN_HF_WHOLE },
              { "mlp.gate_proj", "ffn_gate", TN_HF_BIAS_MLP, TN_HF_WHOLE },
              { "mlp.up_proj", "ffn_up", TN_HF_BIAS_MLP, TN_HF_WHOLE },
              { "mlp.down_proj", "ffn_down", TN_HF_BIAS_MLP, TN_HF_WHOLE } },
};
