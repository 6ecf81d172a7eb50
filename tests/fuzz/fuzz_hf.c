/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a Hugging Face directory: the files below one after another, each but the last ended
 * by a NUL byte, and absent when empty. It opens or is refused; what opened is read: description, a
 * row of each tensor, vocabulary, facts. */
#include "model/arch/arch.h"
#include "model/formats/hf_dir.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = { "config.json",
                                     "tokenizer_config.json",
                                     "generation_config.json",
                                     "special_tokens_map.json",
                                     "model.safetensors.index.json",
                                     "model.safetensors" };
enum { N_NAMES = (int)(sizeof names / sizeof names[0]) };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static size_t cut(const uint8_t *bytes, size_t n, tn_hf_bytes *file)
{
    size_t n_files = 0;
    for (int i = 0; i < N_NAMES; i++) {
        const uint8_t *end = i + 1 < N_NAMES && n ? memchr(bytes, 0, n) : NULL;
        const size_t size = end ? (size_t)(end - bytes) : n;
        if (size)
            file[n_files++] = (tn_hf_bytes){ .name = names[i], .data = bytes, .size = size };
        if (!end)
            break;
        bytes = end + 1;
        n -= size + 1;
    }
    return n_files;
}

static void read_rows(const tn_weight_source *source, const tn_weight_info *info)
{
    tn_error err;
    tn_row_buffer buffer;
    tn_weight_rows rows;
    if (tn_row_buffer_init(&buffer, info, 1, &err))
        return;
    if (source->rows(source->self, info, 0, 1, &buffer, &rows, &err) ||
        source->rows(source->self, info, info->rows - 1, 1, &buffer, &rows, &err))
        abort(); /* a tensor that was let in must be readable */
    tn_row_buffer_deinit(&buffer);
    source->done(source->self, info);
}

static size_t read_vocab(const tn_vocab *v)
{
    size_t sum = v->chat_template ? strlen(v->chat_template) : 0;
    sum += v->bos_text ? strlen(v->bos_text) : 0;
    for (int32_t i = 0; i < v->n_stops; i++)
        sum += (size_t)v->stop[i];
    for (int32_t i = 0; i < v->n_added; i++)
        sum += v->added[i].text.n;
    return sum;
}

/* The graph, of which the builder checks every shape. */
static void build(tn_model_file *file, const tn_model_desc *desc)
{
    tn_graph graph;
    tn_error err;
    if (!tn_arch_build(desc, tn_model_file_weights(file), 2, &graph, &err))
        tn_graph_deinit(&graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    tn_error err = { 0 };
    tn_model_file *file = NULL;
    tn_model_desc desc;
    tn_weight_info info;
    tn_hf_bytes files[N_NAMES];
    const size_t n_files = cut(bytes, n, files);
    size_t sum = 0;
    if (tn_hf_open_memory(files, n_files, &file, &err)) {
        if (!err.text[0])
            abort();
        return 0;
    }
    if (!tn_model_file_desc(file, &desc, &err)) {
        const tn_weight_source *source = tn_model_file_weights(file);
        for (int32_t i = 0; i < tn_model_file_n_tensors(file); i++)
            if (!tn_model_file_tensor(file, i, &info, &err))
                read_rows(source, &info);
        build(file, &desc);
    }
    for (int32_t i = 0; i < tn_model_file_n_facts(file); i++)
        sum += strlen(tn_model_file_fact(file, i).key) + strlen(tn_model_file_fact(file, i).value);
    sum += read_vocab(tn_model_file_vocab(file));
    if (sum == SIZE_MAX) /* never; keeps the reads from being optimised away */
        abort();
    tn_model_file_close(file);
    return 0;
}
