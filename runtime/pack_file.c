/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* madvise */
#include "runtime/pack_file.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "model/formats/file_map.h"
#include "model/formats/map_guard.h"
#include "model/formats/write_file.h"
#include "runtime/cache_dir.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    LABEL_BYTES = 480,
    BLOB_ALIGNMENT = 256, /* of tn_tensor's buffers, which plugins may rely on */
    DATA_ALIGNMENT = 4096,
    MAX_KEY_BYTES = 1 << 26,
    MAX_DESCRIBED_BYTES = 1 << 16,
    MAX_LINE = 4096,
    MIN_COPIED_BYTES = 16 << 20, /* less is translated by the second level of a current TLB */
};

/* The last byte is the version of this layout. */
static const char magic[8] = { 't', 'n', 'p', 'a', 'c', 'k', '\n', 1 };

typedef struct pack_head {
    char magic[8];
    uint64_t file_bytes, n_key, n_blobs;
    char label[LABEL_BYTES]; /* for people: not compared */
} pack_head;
static_assert(sizeof(pack_head) == 512, "no padding");

/* ---- places ---- */

/* *at + n, rounded up; false on overflow. */
static bool advance(uint64_t *at, uint64_t n, uint64_t alignment)
{
    if (n > UINT64_MAX / 4 || *at > UINT64_MAX / 4)
        return false;
    *at = (*at + n + alignment - 1) / alignment * alignment;
    return true;
}

/* Place of blob `index`, or with n_blobs of the hashes; 0 when the numbers are too large. */
static uint64_t place_of(const tn_pack_spec *spec, int32_t index)
{
    uint64_t at = sizeof(pack_head);
    bool fits = advance(&at, spec->n_key, DATA_ALIGNMENT);
    for (int32_t i = 0; i < index && fits; i++)
        fits = advance(&at, spec->blob_bytes[i], BLOB_ALIGNMENT);
    return fits ? at : 0;
}

uint64_t tn_pack_file_bytes(const tn_pack_spec *spec)
{
    uint64_t at = place_of(spec, spec->n_blobs);
    if (at == 0 || spec->n_key > MAX_KEY_BYTES)
        return 0;
    return advance(&at, (uint64_t)spec->n_blobs * sizeof(uint64_t), 1) ? at : 0;
}

static pack_head head_of(const tn_pack_spec *spec, const char *label)
{
    pack_head head = { .file_bytes = tn_pack_file_bytes(spec),
                       .n_key = spec->n_key,
                       .n_blobs = (uint64_t)spec->n_blobs };
    memcpy(head.magic, magic, sizeof magic);
    (void)snprintf(head.label, sizeof head.label, "%s", label);
    return head;
}

/* ---- read ---- */

struct tn_pack_file {
    char *path;
    tn_file_map map;
    tn_map_guard *guard;
    const void **blob; /* [n_blobs] */
    uint8_t *copy;     /* of the whole file, or NULL: the mapping is used */
    const tn_pack_spec *spec;
    atomic_bool is_damaged; /* relaxed: the team's end of job orders it before its reader */
};

static void check_blobs(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    tn_pack_file *f = arg;
    const uint8_t *hashes = f->map.data + place_of(f->spec, f->spec->n_blobs);
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        uint64_t want;
        memcpy(&want, hashes + (size_t)i * sizeof want, sizeof want);
        if (tn_hash64(f->blob[i], (size_t)f->spec->blob_bytes[i], 0) != want)
            atomic_store_explicit(&f->is_damaged, true, memory_order_relaxed);
    }
}

static void close_map(tn_pack_file *f)
{
    tn_map_guard_remove(f->guard);
    f->guard = NULL;
    tn_file_map_close(&f->map);
}

static tn_status check_content(tn_pack_file *f, tn_team *team, tn_error *err)
{
    const tn_pack_spec *spec = f->spec;
    const pack_head want = head_of(spec, "");
    const size_t n_fixed = offsetof(pack_head, label);
    if (f->map.size < sizeof want || memcmp(f->map.data, magic, sizeof magic) != 0)
        return tn_fail(err, TN_INVALID, "%s is no file of packed weights", f->path);
    if (f->map.size != want.file_bytes)
        return tn_fail(err, TN_INVALID, "%s has %zu bytes in place of %ju", f->path, f->map.size,
                       (uintmax_t)want.file_bytes);
    if (memcmp(f->map.data, &want, n_fixed) != 0 ||
        memcmp(f->map.data + sizeof want, spec->key, spec->n_key) != 0)
        return tn_fail(err, TN_INVALID, "%s has weights of something else", f->path);
    for (int32_t i = 0; i < spec->n_blobs; i++)
        f->blob[i] = f->map.data + place_of(spec, i);
    tn_team_for(team, spec->n_blobs, check_blobs, f);
    if (atomic_load_explicit(&f->is_damaged, memory_order_relaxed))
        return tn_fail(err, TN_INVALID, "%s is damaged: a checksum differs", f->path);
    return TN_OK;
}

/* ---- huge pages ---- */

/* Where the file system has huge pages, fewer translations are looked up; elsewhere nothing. */
static void want_huge_pages(const tn_file_map *map)
{
    void *data;
    memcpy(&data, &map->data, sizeof data); /* madvise writes nothing */
    (void)madvise(data, map->size, MADV_HUGEPAGE);
    (void)madvise(data, map->size, MADV_WILLNEED);
}

/* The rest of the first line of a file that begins so, as a number; -1: there is none. */
static long number_after(FILE *f, const char *begin, char line[MAX_LINE])
{
    const size_t n = strlen(begin);
    while (fgets(line, MAX_LINE, f))
        if (strncmp(line, begin, n) == 0)
            return strtol(line + n, NULL, 10);
    return -1;
}

/* Are huge pages of the file mapped? Its pages have all been touched. proc_pid_smaps(5): a line
 * "begin-end ..." in hex, then the mapping's fields; FilePmdMapped in KiB. */
static bool has_huge_pages(const tn_file_map *map)
{
    char begin[32], line[MAX_LINE];
    long kib = -1;
    FILE *f = fopen("/proc/self/smaps", "re");
    if (!f)
        return true; /* not known: nothing is done */
    (void)snprintf(begin, sizeof begin, "%jx-", (uintmax_t)(uintptr_t)map->data);
    if (number_after(f, begin, line) >= 0)
        kib = number_after(f, "FilePmdMapped:", line);
    (void)fclose(f);
    return kib != 0;
}

static bool system_has_huge_pages(void)
{
    char line[128] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
    const bool is_read = f && fgets(line, sizeof line, f);
    if (f)
        (void)fclose(f);
    return is_read && !strstr(line, "[never]");
}

static void copy_blobs(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    tn_pack_file *f = arg;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const size_t at = (size_t)place_of(f->spec, (int32_t)i), n = (size_t)f->spec->blob_bytes[i];
        memcpy(f->copy + at, f->map.data + at, n);
        tn_file_map_drop(&f->map, at, n); /* so that there are never two of all in memory */
        f->blob[i] = f->copy + at;
    }
}

/* Lack of memory only means that the mapping is used. */
static void copy_to_huge_pages(tn_pack_file *f, tn_team *team)
{
    if (f->map.size < MIN_COPIED_BYTES || has_huge_pages(&f->map) || !system_has_huge_pages())
        return;
    f->copy = tn_pages_alloc(f->map.size);
    if (!f->copy)
        return;
    tn_pages_prefer_huge(f->copy, f->map.size);
    tn_team_for(team, f->spec->n_blobs, copy_blobs, f);
    tn_log(TN_LOG_INFO, "cache", "copied to huge pages, which %s has none of", f->path);
}

/* ---- open ---- */

static tn_status open_file(tn_pack_file *f, const char *path, tn_team *team, tn_error *err)
{
    f->path = tn_strdup(path);
    f->blob = tn_alloc_array((size_t)f->spec->n_blobs, sizeof *f->blob);
    if (!f->path || !f->blob)
        return tn_fail_memory(err, "the packed weights");
    TN_TRY(tn_cache_check_owner(path, err));
    TN_TRY(tn_file_map_open(&f->map, path, err));
    TN_TRY(tn_map_guard_add(&f->map, &f->guard, err));
    want_huge_pages(&f->map);
    TN_TRY(check_content(f, team, err));
    copy_to_huge_pages(f, team);
    TN_TRY(tn_pack_file_check(f, err));
    if (f->copy)
        close_map(f);
    return TN_OK;
}

tn_status tn_pack_file_open(const char *path, const tn_pack_spec *spec, tn_team *team,
                            tn_pack_file **out, tn_error *err)
{
    *out = NULL;
    if (access(path, F_OK) != 0)
        return tn_fail(err, TN_UNAVAILABLE, "%s is not there", path);
    tn_pack_file *f = tn_alloc_array(1, sizeof *f);
    if (!f)
        return tn_fail_memory(err, "the packed weights");
    f->spec = spec;
    const tn_status st = open_file(f, path, team, err);
    if (st)
        tn_pack_file_close(f);
    else
        *out = f;
    return st;
}

void tn_pack_file_close(tn_pack_file *f)
{
    if (!f)
        return;
    if (f->copy)
        tn_pages_release(f->copy, (size_t)tn_pack_file_bytes(f->spec));
    close_map(f);
    tn_free(f->blob);
    tn_free(f->path);
    tn_free(f);
}

const void *tn_pack_file_blob(const tn_pack_file *f, int32_t index)
{
    return f->blob[index];
}

tn_status tn_pack_file_check(const tn_pack_file *f, tn_error *err)
{
    if (tn_map_guard_check(f->guard, f->path, NULL) == TN_OK)
        return TN_OK;
    return tn_fail(err, TN_INTERNAL,
                   "%s, the packed weights in use, was cut off by another program, or its disk "
                   "failed: start again",
                   f->path);
}

bool tn_pack_file_describe(const char *path, tn_strbuf *label, tn_strbuf *key)
{
    pack_head head;
    char text[4096];
    FILE *f = fopen(path, "rbe");
    if (!f)
        return false;
    const bool is_ours =
        fread(&head, sizeof head, 1, f) == 1 && memcmp(head.magic, magic, sizeof magic) == 0;
    if (is_ours) {
        tn_strbuf_append(label, head.label, strnlen(head.label, sizeof head.label));
        uint64_t left = head.n_key < MAX_DESCRIBED_BYTES ? head.n_key : MAX_DESCRIBED_BYTES;
        size_t n = 1;
        for (; left > 0 && n > 0; left -= n) {
            n = fread(text, 1, left < sizeof text ? (size_t)left : sizeof text, f);
            tn_strbuf_append(key, text, n);
        }
    }
    (void)fclose(f);
    return is_ours;
}

/* ---- write ---- */

struct tn_pack_writer {
    tn_file_writer *file;
    const tn_pack_spec *spec;
    uint64_t *hash; /* [n_blobs] */
    uint64_t at;    /* bytes written */
    int32_t n_put;
};

static tn_status put(tn_pack_writer *w, const void *bytes, uint64_t n, tn_error *err)
{
    w->at += n;
    return tn_file_writer_put(w->file, bytes, (size_t)n, err);
}

static tn_status pad_to(tn_pack_writer *w, uint64_t place, tn_error *err)
{
    static const char zeros[DATA_ALIGNMENT];
    return put(w, zeros, place - w->at, err);
}

static tn_status begin(tn_pack_writer *w, const char *path, const char *label, tn_error *err)
{
    const tn_pack_spec *spec = w->spec;
    const pack_head head = head_of(spec, label);
    if (head.file_bytes == 0)
        return tn_fail(err, TN_INVALID, "%s: the packed weights are too large", path);
    w->hash = tn_alloc_array((size_t)spec->n_blobs, sizeof *w->hash);
    if (!w->hash)
        return tn_fail_memory(err, "writing the packed weights");
    TN_TRY(tn_file_writer_open(path, 0600, &w->file, err));
    TN_TRY(put(w, &head, sizeof head, err));
    TN_TRY(put(w, spec->key, spec->n_key, err));
    return pad_to(w, place_of(spec, 0), err);
}

tn_status tn_pack_writer_open(const char *path, const tn_pack_spec *spec, const char *label,
                              tn_pack_writer **out, tn_error *err)
{
    tn_pack_writer *w = tn_alloc_array(1, sizeof *w);
    *out = NULL;
    if (!w)
        return tn_fail_memory(err, "writing the packed weights");
    w->spec = spec;
    const tn_status st = begin(w, path, label, err);
    if (st)
        tn_pack_writer_abort(w);
    else
        *out = w;
    return st;
}

tn_status tn_pack_writer_put(tn_pack_writer *w, const void *blob, tn_error *err)
{
    const int32_t i = w->n_put++;
    const uint64_t n = w->spec->blob_bytes[i];
    w->hash[i] = tn_hash64(blob, (size_t)n, 0);
    TN_TRY(put(w, blob, n, err));
    return pad_to(w, place_of(w->spec, w->n_put), err);
}

tn_status tn_pack_writer_commit(tn_pack_writer *w, tn_error *err)
{
    if (w->n_put != w->spec->n_blobs)
        return tn_fail(err, TN_INTERNAL, "%d of %d packed blobs were written", w->n_put,
                       w->spec->n_blobs);
    TN_TRY(put(w, w->hash, (uint64_t)w->n_put * sizeof *w->hash, err));
    return tn_file_writer_publish(w->file, err);
}

void tn_pack_writer_abort(tn_pack_writer *w)
{
    if (!w)
        return;
    tn_file_writer_abort(w->file);
    tn_free(w->hash);
    tn_free(w);
}
