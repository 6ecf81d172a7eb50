/* SPDX-License-Identifier: Apache-2.0 */
/* Names and keys: llama.cpp, llama_split_path and LLM_KV_SPLIT_*. */
#include "model/formats/gguf_split.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "-00001-of-00003.gguf" */
enum { TAIL_BYTES = 32 };

static void print_tail(char *tail, int32_t no, int32_t count)
{
    (void)snprintf(tail, TAIL_BYTES, "-%05d-of-%05d.gguf", (int)no + 1, (int)count);
}

tn_status tn_gguf_split_read(const tn_gguf *g, tn_gguf_split *out, tn_error *err)
{
    int64_t count = 1;
    int64_t no = 0;
    *out = (tn_gguf_split){ .count = 1, .n_tensors = -1 };
    TN_TRY(tn_gguf_int(g, "split.count", 0, TN_GGUF_MAX_SHARDS, &count, err));
    if (count <= 1)
        return TN_OK;
    TN_TRY(tn_gguf_int(g, "split.no", 0, count - 1, &no, err));
    TN_TRY(tn_gguf_int(g, "split.tensors.count", 0, INT32_MAX, &out->n_tensors, err));
    if (!tn_gguf_find(g, "split.no"))
        return tn_fail(err, TN_INVALID,
                       "the file is one of %" PRId64
                       " shards (split.count), but does not say which: it lacks split.no",
                       count);
    out->no = (int32_t)no;
    out->count = (int32_t)count;
    return TN_OK;
}

tn_status tn_gguf_split_path(const char *path, const tn_gguf_split *split, int32_t no,
                             tn_arena *arena, const char **out, tn_error *err)
{
    char tail[TAIL_BYTES];
    print_tail(tail, split->no, split->count);
    size_t n = strlen(path);
    size_t n_tail = strlen(tail);
    *out = NULL;
    if (n < n_tail || strcmp(path + n - n_tail, tail) != 0)
        return tn_fail(err, TN_INVALID,
                       "this is shard %d of %d of a split model, but its name does not end in %s, "
                       "by which the others are found: give it its name back",
                       (int)split->no + 1, (int)split->count, tail);
    char *other = tn_arena_alloc(arena, n - n_tail + TAIL_BYTES);
    if (!other)
        return tn_fail_memory(err, "the path of a shard");
    memcpy(other, path, n - n_tail);
    print_tail(other + (n - n_tail), no, split->count);
    *out = other;
    return TN_OK;
}

tn_status tn_gguf_split_check(const tn_gguf *g, int32_t no, int32_t count, int64_t n_tensors,
                              tn_error *err)
{
    tn_gguf_split split;
    TN_TRY(tn_gguf_split_read(g, &split, err));
    if (split.count == 1)
        return tn_fail(err, TN_INVALID,
                       "this is a whole file, not shard %d of %d (it lacks split.count): fetch "
                       "that shard again",
                       (int)no + 1, (int)count);
    if (split.count != count)
        return tn_fail(err, TN_INVALID,
                       "this is of a model of %d shards (split.count), the others are of one of "
                       "%d: fetch shard %d again",
                       (int)split.count, (int)count, (int)no + 1);
    if (split.no != no)
        return tn_fail(err, TN_INVALID,
                       "this is shard %d (split.no %d) under the name of shard %d: fetch shard %d "
                       "again",
                       (int)split.no + 1, (int)split.no, (int)no + 1, (int)no + 1);
    if (n_tensors >= 0 && split.n_tensors >= 0 && split.n_tensors != n_tensors)
        return tn_fail(err, TN_INVALID,
                       "this is of a model of %" PRId64
                       " tensors (split.tensors.count), the first shard is of one of %" PRId64
                       ": fetch all shards again",
                       split.n_tensors, n_tensors);
    return TN_OK;
}
