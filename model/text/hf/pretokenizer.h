/* SPDX-License-Identifier: Apache-2.0 */
/* The pre_tokenizer of a tokenizer.json: text to the words inside which the model merges. Internal
 * to model/text. */
#ifndef TN_MODEL_TEXT_HF_PRETOKENIZER_H
#define TN_MODEL_TEXT_HF_PRETOKENIZER_H

#include "core/base/strbuf.h"
#include "model/text/hf/split.h"

enum { TN_PRE_SPLIT, TN_PRE_PREFIX, TN_PRE_REPLACE, TN_PRE_BYTES };
enum { TN_PREPEND_ALWAYS, TN_PREPEND_FIRST, TN_PREPEND_NEVER };
/* Where a piece stands: at the beginning of the text, right after bytes that are no UTF-8, or
 * elsewhere. Only the second is never given a blank. */
enum { TN_PLACE_FIRST, TN_PLACE_CONTINUES, TN_PLACE_INNER };
enum { TN_HF_MAX_STAGES = 3 * TN_HF_MAX_PARTS };

/* One step; each part of the file is one to three. */
typedef struct tn_hf_stage {
    int32_t kind;    /* TN_PRE_* */
    tn_split split;  /* SPLIT */
    char text[5];    /* PREFIX: what goes before a piece that does not begin with it; REPLACE: what
                        stands for a blank */
    int32_t prepend; /* PREFIX: TN_PREPEND_ALWAYS, or FIRST: before the text's first piece only */
} tn_hf_stage;

typedef struct tn_hf_pretokenizer {
    tn_hf_stage stage[TN_HF_MAX_STAGES];
    int32_t n_stages;
    bool spells_bytes; /* the words are in GPT-2's byte alphabet */
} tn_hf_pretokenizer;  /* immutable after init */

tn_status tn_hf_pretokenizer_init(tn_hf_pretokenizer *p, const json_t *root,
                                  tn_error *err) TN_MUST_USE;
void tn_hf_pretokenizer_deinit(tn_hf_pretokenizer *p);

/* A word in order, n >= 1; it lives until the function returns. */
typedef tn_status (*tn_hf_word_fn)(void *ctx, const char *word, size_t n, tn_error *err);

/* Memory of the stages of one encode call. */
typedef struct tn_hf_pretokenizer_work {
    tn_strbuf text[TN_HF_MAX_STAGES];
    tn_pattern_scratch *scratch; /* borrowed */
} tn_hf_pretokenizer_work;
void tn_hf_pretokenizer_work_deinit(tn_hf_pretokenizer_work *work);

/** text: valid UTF-8. place: TN_PLACE_*. */
tn_status tn_hf_pretokenizer_run(const tn_hf_pretokenizer *p, tn_hf_pretokenizer_work *work,
                                 const char *text, size_t n, int32_t place, tn_hf_word_fn fn,
                                 void *ctx, tn_error *err) TN_MUST_USE;

/** The prepend_scheme of a Metaspace; files from before it have add_prefix_space. */
int32_t tn_hf_read_prepend_scheme(tn_json_reader *part);
/** The character at `key`, "\xE2\x96\x81" when absent, into out[5]. */
void tn_hf_read_char(tn_json_reader *part, const char *key, char *out);

#endif
