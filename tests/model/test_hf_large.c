/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer.json of the size of the largest in use (Gemma's: 256,000 tokens, 33 MB), and hostile
 * ones of some MB: memory stays in proportion to the file. */
#include "core/base/alloc.h"
#include "tests/model/hf_json.h"
#include "tests/support/hostile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)

/* Of one letter, two and three: 64 + 64^2 + 64^3 tokens. */
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
enum { N_LETTERS = 64, N_TOKENS = 64 + 64 * 64 + 64 * 64 * 64 };

static double seconds(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t peak_bytes(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (size_t)usage.ru_maxrss * 1024;
}

/* The text of an id; returns its length. */
static int spell(int id, char *out)
{
    const int n = id < 64 ? 1 : id < 64 + 64 * 64 ? 2 : 3;
    int rest = id - (n > 1 ? 64 : 0) - (n > 2 ? 64 * 64 : 0);
    for (int i = n; i-- > 0; rest /= N_LETTERS)
        out[i] = letters[rest % N_LETTERS];
    out[n] = '\0';
    return n;
}

/* Every token that can be cut in two, at each place: 2 * 64^3 + 64^2 merges. As `tokenizers` writes
 * them. */
static void put_merges(tn_strbuf *out)
{
    char text[4];
    for (int id = N_LETTERS; id < N_TOKENS; id++) {
        const int n = spell(id, text);
        for (int cut = 1; cut < n; cut++)
            tn_strbuf_printf(out, "%s      [\n        \"%.*s\",\n        \"%s\"\n      ]",
                             id == N_LETTERS ? "" : ",\n", cut, text, text + cut);
    }
}

static void put_large(tn_strbuf *out)
{
    char text[4];
    tn_strbuf_puts(out, "{\n  \"model\": {\n    \"type\": \"BPE\",\n    \"vocab\": {\n");
    for (int id = 0; id < N_TOKENS; id++) {
        (void)spell(id, text);
        tn_strbuf_printf(out, "      \"%s\": %d%s\n", text, id, id + 1 < N_TOKENS ? "," : "");
    }
    tn_strbuf_puts(out, "    },\n    \"merges\": [\n");
    put_merges(out);
    tn_strbuf_puts(out, "\n    ]\n  }\n}\n");
    assert_false(out->failed);
}

static void a_vocabulary_of_266_thousand_tokens_loads_in_16_times_its_files_memory(void **state)
{
    tn_strbuf file = TN_STRBUF(64 * MIB);
    tn_tokenizer *t = NULL;
    tn_ids ids = { 0 };
    tn_error err = { 0 };
    (void)state;
    put_large(&file);
    assert_true(file.len > 25 * MIB);

    const double began = seconds();
    const size_t before = peak_bytes();
    tn_test_memory_limit(16 * file.len);
    const tn_status st = hf_tokenizer(file.data, file.len, &t, &err);
    tn_test_memory_limit(0);

    if (st)
        fail_msg("%s", err.text);
    print_message("%zu MiB with %d tokens: %.2f s, %zu MiB at most\n", file.len / MIB, N_TOKENS,
                  seconds() - began, (peak_bytes() - before) / MIB);
    assert_int_equal(tn_tokenizer_vocab(t)->n_merges, 2 * 64 * 64 * 64 + 64 * 64);
    assert_int_equal(tn_tokenizer_encode(t, "abcde", 5, 0, &ids, NULL), TN_OK);
    assert_int_equal(ids.n, 2); /* ab, then cd, then cd e */
    assert_int_equal(ids.id[0], tn_tokenizer_find(t, "ab", 2));
    assert_int_equal(ids.id[1], tn_tokenizer_find(t, "cde", 3));
    tn_ids_deinit(&ids);
    tn_tokenizer_destroy(t);
    tn_strbuf_deinit(&file);
}

/* The smallest values there are, as many as fit. The limit on values lets some through to the
 * parser. */
static void a_hostile_file_takes_at_most_40_times_its_own_memory(void **state)
{
    static const char *const pieces[] = { "[],",       "{},",     "\"\",",     "1,",
                                          "{\"\":0},", "[\"\"],", "[[\"\"]],", "\"aaaaaaaaaaaa\",",
                                          "[{",        "[0,0,0]," };
    const size_t n = 4 * MIB;
    char *text = tn_alloc(n);
    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        tn_tokenizer *t = NULL;
        tn_error err = { 0 };
        const size_t n_piece = strlen(pieces[i]);
        for (size_t k = 0; k < n; k++)
            text[k] = k < 6 ? "{\"a\":["[k] : pieces[i][(k - 6) % n_piece];
        memcpy(text + n - 4, "0]} ", 4);

        tn_test_memory_limit(40 * n);
        const tn_status st = hf_tokenizer(text, n, &t, &err);
        tn_test_memory_limit(0);

        if (st != TN_INVALID)
            fail_msg("%s: status %d, \"%s\"", pieces[i], st, err.text);
    }
    tn_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vocabulary_of_266_thousand_tokens_loads_in_16_times_its_files_memory),
        cmocka_unit_test(a_hostile_file_takes_at_most_40_times_its_own_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
