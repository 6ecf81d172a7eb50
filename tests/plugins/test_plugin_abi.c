/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of ABI 1.0 on LP64, as first published: plugins built then must load for ever. Fields
 * may be added at the end of a struct (but for tn_error and tn_tensor, which arrays and callers
 * embed); a line here may never change.
 */
#include <tenon/plugin.h>

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#define AT(type, field, offset)                                                                    \
    static_assert(offsetof(type, field) == (offset), #type "." #field " moved")
#define AT_LEAST(type, bytes) static_assert(sizeof(type) >= (bytes), #type " shrank")
#define FROZEN(type, bytes)   static_assert(sizeof(type) == (bytes), #type " is frozen")

AT_LEAST(tn_attention, 48);
AT(tn_attention, size, 0);
AT(tn_attention, heads, 4);
AT(tn_attention, kv_heads, 8);
AT(tn_attention, head_dim, 12);
AT(tn_attention, window, 16);
AT(tn_attention, logn_length, 20);
AT(tn_attention, scale, 24);
AT(tn_attention, softcap, 28);
AT(tn_attention, kv_static, 32);
AT(tn_attention, n_kv_static, 40);
AT(tn_attention, reserved, 44);

AT_LEAST(tn_batch, 184);
AT(tn_batch, size, 0);
AT(tn_batch, n_tokens, 4);
AT(tn_batch, n_seqs, 8);
AT(tn_batch, n_decode, 12);
AT(tn_batch, n_rows, 16);
AT(tn_batch, max_q, 20);
AT(tn_batch, max_kv, 24);
AT(tn_batch, table_stride, 28);
AT(tn_batch, n_tables, 32);
AT(tn_batch, reserved, 36);
AT(tn_batch, tokens, 40);
AT(tn_batch, pos, 48);
AT(tn_batch, slot, 56);
AT(tn_batch, q_start, 64);
AT(tn_batch, kv_len, 72);
AT(tn_batch, rope_index, 80);
AT(tn_batch, table, 88);
AT(tn_batch, rows, 96);
AT(tn_batch, rope_table, 104);
AT(tn_batch, h_tokens, 112);
AT(tn_batch, h_pos, 120);
AT(tn_batch, h_slot, 128);
AT(tn_batch, h_q_start, 136);
AT(tn_batch, h_kv_len, 144);
AT(tn_batch, h_rope_index, 152);
AT(tn_batch, h_table, 160);
AT(tn_batch, h_rows, 168);
AT(tn_batch, h_rope_table, 176);

AT_LEAST(tn_domain, 160);
AT(tn_domain, size, 0);
AT(tn_domain, flags, 4);
AT(tn_domain, name, 8);
AT(tn_domain, native, 16);
AT(tn_domain, resid_dtype, 24);
AT(tn_domain, act_dtype, 28);
AT(tn_domain, devices, 32);
AT(tn_domain, describe, 40);
AT(tn_domain, attach, 48);
AT(tn_domain, alloc, 56);
AT(tn_domain, release, 64);
AT(tn_domain, host_alloc, 72);
AT(tn_domain, host_release, 80);
AT(tn_domain, copy, 88);
AT(tn_domain, fill, 96);
AT(tn_domain, stream_new, 104);
AT(tn_domain, stream_release, 112);
AT(tn_domain, stream_wait, 120);
AT(tn_domain, capture_begin, 128);
AT(tn_domain, capture_end, 136);
AT(tn_domain, graph_run, 144);
AT(tn_domain, graph_release, 152);

AT_LEAST(tn_embed, 32);
AT(tn_embed, size, 0);
AT(tn_embed, vocab, 4);
AT(tn_embed, dim, 8);
AT(tn_embed, group, 12);
AT(tn_embed, values, 16);
AT(tn_embed, scale, 20);
AT(tn_embed, wfmt, 24);

FROZEN(tn_error, 256);
AT(tn_error, code, 0);
AT(tn_error, text, 4);

AT_LEAST(tn_host, 96);
AT(tn_host, size, 0);
AT(tn_host, minor, 4);
AT(tn_host, ctx, 8);
AT(tn_host, log, 16);
AT(tn_host, alloc, 24);
AT(tn_host, release, 32);
AT(tn_host, workers, 40);
AT(tn_host, parallel_for, 48);
AT(tn_host, option, 56);
AT(tn_host, domain, 64);
AT(tn_host, domain_self, 72);
AT(tn_host, device, 80);
AT(tn_host, reserved, 84);
AT(tn_host, ext, 88);

AT_LEAST(tn_kernel, 72);
AT(tn_kernel, size, 0);
AT(tn_kernel, flags, 4);
AT(tn_kernel, op, 8);
AT(tn_kernel, name, 16);
AT(tn_kernel, tolerance, 24);
AT(tn_kernel, supports, 32);
AT(tn_kernel, plan, 40);
AT(tn_kernel, pack, 48);
AT(tn_kernel, unpack, 56);
AT(tn_kernel, run, 64);

AT_LEAST(tn_kv_format, 32);
AT(tn_kv_format, size, 0);
AT(tn_kv_format, flags, 4);
AT(tn_kv_format, name, 8);
AT(tn_kv_format, block_bytes, 16);
AT(tn_kv_format, to_f32, 24);

AT_LEAST(tn_launch, 104);
AT(tn_launch, size, 0);
AT(tn_launch, n_in, 4);
AT(tn_launch, n_out, 8);
AT(tn_launch, reserved, 12);
AT(tn_launch, in, 16);
AT(tn_launch, out, 24);
AT(tn_launch, batch, 32);
AT(tn_launch, weight, 40);
AT(tn_launch, kv, 48);
AT(tn_launch, kv_block_bytes, 56);
AT(tn_launch, workspace, 64);
AT(tn_launch, workspace_bytes, 72);
AT(tn_launch, zeroed, 80);
AT(tn_launch, tag, 88);
AT(tn_launch, stream, 96);

AT_LEAST(tn_linear, 40);
AT(tn_linear, size, 0);
AT(tn_linear, in, 4);
AT(tn_linear, n_parts, 8);
AT(tn_linear, act, 12);
AT(tn_linear, part, 16);
AT(tn_linear, eps, 24);
AT(tn_linear, offset, 28);
AT(tn_linear, out_scale, 32);

AT_LEAST(tn_node, 112);
AT(tn_node, size, 0);
AT(tn_node, layer, 4);
AT(tn_node, op, 8);
AT(tn_node, path, 16);
AT(tn_node, kvfmt, 24);
AT(tn_node, resid_dtype, 32);
AT(tn_node, act_dtype, 36);
AT(tn_node, n_in, 40);
AT(tn_node, n_out, 44);
AT(tn_node, in_dtype, 48);
AT(tn_node, out_dtype, 64);
AT(tn_node, max_tokens, 72);
AT(tn_node, max_seqs, 76);
AT(tn_node, max_ctx, 80);
AT(tn_node, block_tokens, 84);
AT(tn_node, max_rows, 88);
AT(tn_node, reserved, 92);
AT(tn_node, param, 96);
AT(tn_node, param2, 104);

AT_LEAST(tn_norm, 16);
AT(tn_norm, size, 0);
AT(tn_norm, dim, 4);
AT(tn_norm, eps, 8);
AT(tn_norm, offset, 12);

AT_LEAST(tn_part, 32);
AT(tn_part, size, 0);
AT(tn_part, out, 4);
AT(tn_part, bias, 8);
AT(tn_part, group, 12);
AT(tn_part, values, 16);
AT(tn_part, reserved, 20);
AT(tn_part, wfmt, 24);

AT_LEAST(tn_plan, 48);
AT(tn_plan, size, 0);
AT(tn_plan, pack_rows, 4);
AT(tn_plan, weight_bytes, 8);
AT(tn_plan, workspace_bytes, 16);
AT(tn_plan, zeroed_bytes, 24);
AT(tn_plan, tag, 32);
AT(tn_plan, layout, 40);

AT_LEAST(tn_plugin, 96);
AT(tn_plugin, size, 0);
AT(tn_plugin, minor, 4);
AT(tn_plugin, sanitizer, 8);
AT(tn_plugin, reserved, 12);
AT(tn_plugin, name, 16);
AT(tn_plugin, version, 24);
AT(tn_plugin, domain, 32);
AT(tn_plugin, build, 40);
AT(tn_plugin, open, 48);
AT(tn_plugin, close, 56);
AT(tn_plugin, kernels, 64);
AT(tn_plugin, kv_formats, 72);
AT(tn_plugin, provides, 80);
AT(tn_plugin, ext, 88);

AT_LEAST(tn_rope, 40);
AT(tn_rope, size, 0);
AT(tn_rope, heads, 4);
AT(tn_rope, kv_heads, 8);
AT(tn_rope, head_dim, 12);
AT(tn_rope, rotary_dim, 16);
AT(tn_rope, pairing, 20);
AT(tn_rope, qk_norm, 24);
AT(tn_rope, qk_eps, 28);
AT(tn_rope, qk_offset, 32);
AT(tn_rope, mscale, 36);

AT_LEAST(tn_rows_op, 20);
AT(tn_rows_op, size, 0);
AT(tn_rows_op, dim, 4);
AT(tn_rows_op, act, 8);
AT(tn_rows_op, reserved, 12);
AT(tn_rows_op, scale, 16);

FROZEN(tn_tensor, 128);
AT(tn_tensor, addr, 0);
AT(tn_tensor, dtype, 8);
AT(tn_tensor, rank, 12);
AT(tn_tensor, dim, 16);
AT(tn_tensor, stride, 48);
AT(tn_tensor, name, 80);
AT(tn_tensor, reserved, 88);

AT_LEAST(tn_weight_rows, 72);
AT(tn_weight_rows, size, 0);
AT(tn_weight_rows, part, 4);
AT(tn_weight_rows, rows, 8);
AT(tn_weight_rows, cols, 12);
AT(tn_weight_rows, group, 16);
AT(tn_weight_rows, row0, 24);
AT(tn_weight_rows, values, 32);
AT(tn_weight_rows, codes, 40);
AT(tn_weight_rows, scale, 48);
AT(tn_weight_rows, zero, 56);
AT(tn_weight_rows, bias, 64);

static void codes_and_types_keep_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(TN_ABI_MINOR, 0);
    assert_int_equal(TN_DEVICE_LOST, 5);
    assert_int_equal(TN_INTERNAL, 6);
    assert_int_equal(TN_F32, 1);
    assert_int_equal(TN_U32, 7);
    assert_int_equal(TN_ACT_GELU_TANH, 3);
    assert_int_equal(TN_ROPE_INTERLEAVED, 2);
    assert_int_equal(TN_K_IN_PLACE, 8);
    assert_int_equal(TN_ON_DEVICE, 3);
}

static void has_tells_an_older_struct_from_a_newer(void **state)
{
    (void)state;
    tn_rows_op param = { .size = offsetof(tn_rows_op, scale) };

    assert_false(TN_HAS(&param, scale));
    assert_true(TN_HAS(&param, act));
    param.size = sizeof(param);
    assert_true(TN_HAS(&param, scale));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_and_types_keep_their_numbers),
        cmocka_unit_test(has_tells_an_older_struct_from_a_newer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
