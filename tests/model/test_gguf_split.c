/* SPDX-License-Identifier: Apache-2.0 */
/* Models cut into several GGUF files: any shard opens all, and a set that is not whole is refused
 * by the name of the file to blame. */
#include "core/base/alloc.h"
#include "model/formats/gguf.h"
#include "model/formats/gguf_split.h"
#include "model/formats/gguf_writer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_SHARDS = 3, N_FLIPS = 2000, N_TRUNCATIONS = 200, MAX_NAME = 64 };

static void write_model(const char *name, int32_t shards, const char *type)
{
    tn_error err = { 0 };
    tn_tiny_model m = TN_TINY_MODEL_DEFAULT;
    m.shards = shards;
    m.type = type;
    m.embed_type = "Q5_1";
    m.layers = 1;
    m.dim = m.ffn = 256; /* the block of a K-quant */
    m.head_dim = 256 / m.heads;
    if (tn_tiny_model_write(&m, tn_temp_path(name), &err))
        fail_msg("%s", err.text);
}

static const char *shard_name(const char *stem, int no, int count)
{
    static char name[4][MAX_NAME];
    static int next;
    char *out = name[next++ % 4];
    (void)snprintf(out, MAX_NAME, "%s-%05d-of-%05d.gguf", stem, no, count);
    return out;
}

static tn_model_file *open_model(const char *name)
{
    tn_error err = { 0 };
    tn_model_file *file = NULL;
    if (tn_model_file_open(tn_temp_path(name), &file, &err))
        fail_msg("%s", err.text);
    return file;
}

/* Opening must fail with a text that has both words. */
static void assert_refused(const char *name, const char *file_in_text, const char *text)
{
    tn_error err = { 0 };
    tn_model_file *file = NULL;
    tn_status st = tn_model_file_open(tn_temp_path(name), &file, &err);
    if (st != TN_INVALID || !strstr(err.text, file_in_text) || !strstr(err.text, text))
        fail_msg("opening %s: status %d, \"%s\"; \"%s\" and \"%s\" are expected", name, st,
                 err.text, file_in_text, text);
    assert_null(file);
}

static void copy_file(const char *from, const char *to)
{
    size_t n = 0;
    uint8_t *bytes = tn_temp_read(from, &n);
    assert_non_null(bytes);
    FILE *file = fopen(tn_temp_path(to), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    tn_free(bytes);
}

static void assert_same_tensor(const tn_weight_source *a, const tn_weight_source *b,
                               const char *name)
{
    tn_error err = { 0 };
    tn_weight_info info[2];
    float *values[2];
    assert_int_equal(a->find(a->self, name, &info[0]), TN_OK);
    assert_int_equal(b->find(b->self, name, &info[1]), TN_OK);
    assert_string_equal(info[0].wfmt, info[1].wfmt);
    assert_int_equal(tn_weight_values(a, &info[0], &values[0], &err), TN_OK);
    assert_int_equal(tn_weight_values(b, &info[1], &values[1], &err), TN_OK);
    assert_int_equal(info[0].rows * info[0].cols, info[1].rows * info[1].cols);
    assert_memory_equal(values[0], values[1],
                        (size_t)info[0].rows * (size_t)info[0].cols * sizeof(float));
    b->done(b->self, &info[1]);
    tn_free(values[0]);
    tn_free(values[1]);
}

static void any_shard_opens_the_whole_model(void **state)
{
    (void)state;
    write_model("whole.gguf", 1, "Q6_K");
    write_model(shard_name("cut", 1, N_SHARDS), N_SHARDS, "Q6_K");
    tn_model_file *whole = open_model("whole.gguf");
    uint64_t id = 0;
    assert_int_equal(tn_model_file_n_shards(whole), 1);
    for (int no = 1; no <= N_SHARDS; no++) {
        tn_error err = { 0 };
        tn_model_desc desc;
        tn_model_file *cut = open_model(shard_name("cut", no, N_SHARDS));
        const tn_weight_source *source = tn_model_file_weights(cut);

        assert_int_equal(tn_model_file_n_shards(cut), N_SHARDS);
        for (int i = 0; i < N_SHARDS; i++)
            assert_string_equal(tn_model_file_shard(cut, i),
                                tn_temp_path(shard_name("cut", i + 1, N_SHARDS)));
        assert_true(tn_model_file_bytes(cut) > tn_model_file_bytes(whole));
        assert_int_equal(tn_model_file_desc(cut, &desc, &err), TN_OK);
        assert_int_equal(tn_model_file_vocab(cut)->n_tokens, tn_model_file_vocab(whole)->n_tokens);
        assert_int_equal(tn_model_file_n_tensors(cut), tn_model_file_n_tensors(whole));
        for (int32_t i = 0; i < tn_model_file_n_tensors(whole); i++) {
            tn_weight_info info;
            assert_int_equal(tn_model_file_tensor(whole, i, &info, &err), TN_OK);
            assert_same_tensor(tn_model_file_weights(whole), source, info.name);
        }
        assert_true(id == 0 || id == source->id);
        id = source->id;
        tn_model_file_close(cut);
    }
    tn_model_file_close(whole);
}

/* A shard with the split keys that are not negative, and one tensor if it has a name. */
static void write_shard(const char *name, int no, int count, int n_tensors, const char *tensor)
{
    const float values[4] = { 1, 2, 3, 4 };
    tn_error err = { 0 };
    tn_gguf_writer *w = NULL;
    assert_int_equal(tn_gguf_writer_create(&w, &err), TN_OK);
    tn_gguf_put_string(w, "general.architecture", "llama", 5);
    if (no >= 0)
        tn_gguf_put_u16(w, "split.no", (uint16_t)no);
    if (count >= 0)
        tn_gguf_put_u16(w, "split.count", (uint16_t)count);
    if (n_tensors >= 0)
        tn_gguf_put_i32(w, "split.tensors.count", n_tensors);
    if (tensor)
        tn_gguf_put_tensor(w, tensor, "F32", 0, 4, values);
    assert_int_equal(tn_gguf_writer_finish(w, tn_temp_path(name), &err), TN_OK);
    tn_gguf_writer_destroy(w);
}

/* llama-gguf-split --no-tensor-first-split */
static void the_first_shard_may_hold_no_tensor(void **state)
{
    (void)state;
    write_shard(shard_name("meta", 1, 2), 0, 2, 1, NULL);
    write_shard(shard_name("meta", 2, 2), 1, 2, 1, "t");

    tn_model_file *file = open_model(shard_name("meta", 1, 2));

    tn_weight_info info;
    const tn_weight_source *source = tn_model_file_weights(file);
    assert_int_equal(tn_model_file_n_tensors(file), 1);
    assert_int_equal(source->find(source->self, "t", &info), TN_OK);
    tn_model_file_close(file);
}

static void a_model_in_one_shard_is_a_whole_model_under_any_name(void **state)
{
    (void)state;
    write_shard("one.gguf", 0, 1, 1, "t");
    tn_model_file *file = open_model("one.gguf");
    assert_int_equal(tn_model_file_n_shards(file), 1);
    tn_model_file_close(file);
}

static void a_missing_shard_is_named(void **state)
{
    (void)state;
    write_model(shard_name("gap", 1, N_SHARDS), N_SHARDS, "F32");
    assert_int_equal(unlink(tn_temp_path(shard_name("gap", 2, N_SHARDS))), 0);

    assert_refused(shard_name("gap", 1, N_SHARDS), "gap-00002-of-00003.gguf",
                   "shard 2 of 3 is needed beside the others, fetch it");
    assert_refused(shard_name("gap", 3, N_SHARDS), "gap-00002-of-00003.gguf", "shard 2 of 3");
}

static void a_shard_under_another_name_is_refused_with_the_name_it_needs(void **state)
{
    (void)state;
    write_model(shard_name("name", 1, N_SHARDS), N_SHARDS, "F32");
    copy_file(shard_name("name", 2, N_SHARDS), "renamed.gguf");

    assert_refused("renamed.gguf", "renamed.gguf: this is shard 2 of 3", "-00002-of-00003.gguf");
}

static void a_shard_that_is_there_twice_is_named(void **state)
{
    (void)state;
    write_model(shard_name("twice", 1, N_SHARDS), N_SHARDS, "F32");
    copy_file(shard_name("twice", 3, N_SHARDS), shard_name("twice", 2, N_SHARDS));

    assert_refused(shard_name("twice", 1, N_SHARDS), "twice-00002-of-00003.gguf",
                   "this is shard 3 (split.no 2) under the name of shard 2: fetch shard 2 again");
}

static void a_shard_of_another_model_is_named(void **state)
{
    (void)state;
    static const struct {
        int no, count, n_tensors;
        const char *tensor, *blamed, *text;
    } cases[] = {
        { 1, 4, 2, "u", "-00002-of-00002.gguf", "of a model of 4 shards" },
        { 1, 2, 9, "u", "-00002-of-00002.gguf", "of a model of 9 tensors" },
        { -1, -1, -1, "u", "-00002-of-00002.gguf", "a whole file, not shard 2 of 2" },
        { -1, 2, 2, "u", "-00002-of-00002.gguf", "lacks split.no" },
        { 2, 2, 2, "u", "-00002-of-00002.gguf", "split.no is 2; 0 to 1 is allowed" },
        { 1, 2, 2, "t", "-00001-of-00002.gguf", "shards 1 and 2 both hold a tensor t" },
        { 1, 2, 2, NULL, "-00001-of-00002.gguf", "the 2 shards hold 1 tensors" },
    };
    write_shard(shard_name("mix", 1, 2), 0, 2, 2, "t");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_shard(shard_name("mix", 2, 2), cases[i].no, cases[i].count, cases[i].n_tensors,
                    cases[i].tensor);
        assert_refused(shard_name("mix", 1, 2), cases[i].blamed, cases[i].text);
    }
    write_shard(shard_name("mix", 2, 2), 1, 2, 2, "u");
    tn_model_file_close(open_model(shard_name("mix", 1, 2)));
}

static void a_number_of_shards_past_the_limit_is_refused(void **state)
{
    (void)state;
    write_shard("many.gguf", 0, TN_GGUF_MAX_SHARDS + 1, 2, "t");
    assert_refused("many.gguf", "many.gguf", "split.count is 1025; 0 to 1024 is allowed");
}

static void a_broken_shard_is_named(void **state)
{
    (void)state;
    write_model(shard_name("broken", 1, N_SHARDS), N_SHARDS, "F32");
    FILE *file = fopen(tn_temp_path(shard_name("broken", 2, N_SHARDS)), "wb");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);

    assert_refused(shard_name("broken", 3, N_SHARDS), "broken-00002-of-00003.gguf", "it is empty");
}

/* ---- damage ---- */

/* A pair in memory, each in a block of its own, so that AddressSanitizer sees a read past it. */
typedef struct damaged_pair {
    uint8_t *bytes[2];
    size_t n[2];
} damaged_pair;

static damaged_pair read_pair(void)
{
    damaged_pair p;
    write_model(shard_name("pair", 1, 2), 2, "Q4_K");
    for (int i = 0; i < 2; i++) {
        p.bytes[i] = tn_temp_read(shard_name("pair", i + 1, 2), &p.n[i]);
        assert_non_null(p.bytes[i]);
    }
    return p;
}

static void free_pair(damaged_pair *p)
{
    tn_free(p->bytes[0]);
    tn_free(p->bytes[1]);
}

static void read_last_rows(tn_model_file *file)
{
    const tn_weight_source *source = tn_model_file_weights(file);
    for (int32_t i = 0; i < tn_model_file_n_tensors(file); i++) {
        tn_error err = { 0 };
        tn_weight_info info;
        tn_row_buffer buffer;
        tn_weight_rows rows;
        assert_int_equal(tn_model_file_tensor(file, i, &info, &err), TN_OK);
        assert_int_equal(tn_row_buffer_init(&buffer, &info, 1, &err), TN_OK);
        assert_int_equal(source->rows(source->self, &info, info.rows - 1, 1, &buffer, &rows, &err),
                         TN_OK);
        tn_row_buffer_deinit(&buffer);
    }
}

/* Opens shards of n0 and n1 bytes: true when they are refused, with a text. */
static bool is_refused(const damaged_pair *p, size_t n0, size_t n1)
{
    tn_error err = { 0 };
    tn_model_file *file = NULL;
    const size_t n[2] = { n0, n1 };
    tn_gguf_bytes shard[2];
    for (int i = 0; i < 2; i++) {
        uint8_t *copy = tn_alloc(n[i]);
        assert_non_null(copy);
        memcpy(copy, p->bytes[i], n[i]);
        shard[i] = (tn_gguf_bytes){ copy, n[i] };
    }
    tn_status st = tn_gguf_open_memory(shard, 2, &file, &err);
    if (!st)
        read_last_rows(file);
    else
        assert_true(!file && err.text[0]);
    tn_model_file_close(file);
    for (int i = 0; i < 2; i++) {
        uint8_t *bytes;
        memcpy(&bytes, &shard[i].data, sizeof(bytes));
        tn_free(bytes);
    }
    return st != TN_OK;
}

static void a_pair_with_a_flipped_byte_opens_or_is_refused(void **state)
{
    (void)state;
    uint64_t random = 4;
    int n_refused = 0;
    damaged_pair p = read_pair();
    assert_false(is_refused(&p, p.n[0], p.n[1]));
    for (int i = 0; i < N_FLIPS; i++) {
        int no = i & 1;
        /* Half of the flips hit the start, where counts, keys and types are. */
        size_t range = i & 2 ? p.n[no] : 512;
        uint8_t *at = p.bytes[no] + tn_test_random(&random) % range;
        uint8_t flip = (uint8_t)(1 + tn_test_random(&random) % 255);
        *at ^= flip;
        n_refused += is_refused(&p, p.n[0], p.n[1]);
        *at ^= flip;
    }
    assert_in_range(n_refused, 100, N_FLIPS - 100);
    free_pair(&p);
}

static void a_pair_of_which_one_is_cut_anywhere_is_refused(void **state)
{
    (void)state;
    damaged_pair p = read_pair();
    for (size_t i = 0; i < N_TRUNCATIONS; i++) {
        /* The last 32 bytes may be padding. */
        size_t cut0 = i * (p.n[0] - 32) / N_TRUNCATIONS;
        size_t cut1 = i * (p.n[1] - 32) / N_TRUNCATIONS;
        assert_true(is_refused(&p, cut0, p.n[1]));
        assert_true(is_refused(&p, p.n[0], cut1));
    }
    free_pair(&p);
}

static void each_failing_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    tn_status st = TN_NO_MEMORY;
    uint64_t n = 0;
    write_model(shard_name("memory", 1, N_SHARDS), N_SHARDS, "F32");
    while (st) {
        tn_error err = { 0 };
        tn_model_file *file = NULL;
        tn_alloc_fail_at(++n);
        st = tn_model_file_open(tn_temp_path(shard_name("memory", 2, N_SHARDS)), &file, &err);
        tn_alloc_fail_at(0);
        assert_true(st == TN_OK || (st == TN_NO_MEMORY && !file));
        tn_model_file_close(file);
    }
    assert_in_range(n, 12, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_shard_opens_the_whole_model),
        cmocka_unit_test(the_first_shard_may_hold_no_tensor),
        cmocka_unit_test(a_model_in_one_shard_is_a_whole_model_under_any_name),
        cmocka_unit_test(a_missing_shard_is_named),
        cmocka_unit_test(a_shard_under_another_name_is_refused_with_the_name_it_needs),
        cmocka_unit_test(a_shard_that_is_there_twice_is_named),
        cmocka_unit_test(a_shard_of_another_model_is_named),
        cmocka_unit_test(a_number_of_shards_past_the_limit_is_refused),
        cmocka_unit_test(a_broken_shard_is_named),
        cmocka_unit_test(a_pair_with_a_flipped_byte_opens_or_is_refused),
        cmocka_unit_test(a_pair_of_which_one_is_cut_anywhere_is_refused),
        cmocka_unit_test(each_failing_allocation_is_an_error_without_a_leak),
    };
    return cmocka_run_group_tests(tests, tn_temp_dir_setup, tn_temp_dir_teardown);
}
