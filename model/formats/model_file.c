/* SPDX-License-Identifier: Apache-2.0 */
/* What all model files have. Everything but the weights is read when one is opened, so all of it is
 * immutable afterwards. */
#include "core/base/alloc.h"
#include "model/formats/model_file_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* By what stands at path; what cannot be opened for other reasons is said by opening it. */
static tn_status read_model(tn_model_file *file, tn_error *err)
{
    struct stat st;
    const int status = stat(file->path, &st);
    if (status != 0 && errno == ENOENT)
        return tn_fail(err, TN_INVALID,
                       "cannot open %s: %s; give the path of a GGUF file or of a Hugging Face "
                       "directory",
                       file->path, strerror(ENOENT));
    if (status == 0 && S_ISDIR(st.st_mode))
        return tn_hf_dir_read(file, err);
    return tn_gguf_file_read(file, err);
}

tn_status tn_model_file_create(const char *path, tn_model_file **out, tn_error *err)
{
    tn_model_file *file = tn_alloc_array(1, sizeof(*file));
    *out = NULL;
    if (!file)
        return tn_fail_memory(err, "a model file");
    file->path = tn_arena_strdup(&file->arena, path);
    if (!file->path) {
        tn_model_file_close(file);
        return tn_fail_memory(err, "a model file");
    }
    *out = file;
    return TN_OK;
}

tn_status tn_model_file_open(const char *path, tn_model_file **out, tn_error *err)
{
    tn_model_file *file = NULL;
    *out = NULL;
    TN_TRY(tn_model_file_create(path, &file, err));
    const tn_status st = read_model(file, err);
    if (st) {
        tn_model_file_close(file);
        return st;
    }
    *out = file;
    return TN_OK;
}

void tn_model_file_close(tn_model_file *file)
{
    if (!file)
        return;
    if (file->close)
        file->close(file->self);
    tn_arena_deinit(&file->arena);
    tn_free(file);
}

const char *tn_model_file_format(const tn_model_file *file)
{
    return file->format;
}

const char *tn_model_file_path(const tn_model_file *file)
{
    return file->path;
}

uint64_t tn_model_file_bytes(const tn_model_file *file)
{
    return file->bytes;
}

int32_t tn_model_file_n_shards(const tn_model_file *file)
{
    return file->n_shards;
}

const char *tn_model_file_shard(const tn_model_file *file, int32_t index)
{
    return index >= 0 && index < file->n_shards ? file->shard[index] : "";
}

tn_status tn_model_file_desc(tn_model_file *file, tn_model_desc *out, tn_error *err)
{
    *out = file->desc;
    if (file->desc_status)
        return tn_fail(err, file->desc_status, "%s: %s", file->path, file->desc_error.text);
    return TN_OK;
}

const tn_weight_source *tn_model_file_weights(tn_model_file *file)
{
    return &file->source;
}

const tn_vocab *tn_model_file_vocab(const tn_model_file *file)
{
    return &file->vocab;
}

int32_t tn_model_file_n_tensors(const tn_model_file *file)
{
    return file->n_tensors;
}

tn_status tn_model_file_tensor(const tn_model_file *file, int32_t index, tn_weight_info *out,
                               tn_error *err)
{
    if (index < 0 || index >= file->n_tensors)
        return tn_fail(err, TN_INVALID, "there is no tensor %d; the file has %d", index,
                       file->n_tensors);
    *out = file->tensor[index];
    return TN_OK;
}

int32_t tn_model_file_n_facts(const tn_model_file *file)
{
    return file->n_facts;
}

tn_model_fact tn_model_file_fact(const tn_model_file *file, int32_t index)
{
    if (index < 0 || index >= file->n_facts)
        return (tn_model_fact){ "", "" };
    return file->fact[index];
}
