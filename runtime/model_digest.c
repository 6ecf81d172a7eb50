/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/model_digest.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "model/formats/file_map.h"
#include "model/formats/map_guard.h"
#include "model/formats/write_file.h"
#include "runtime/cache_dir.h"
#include "runtime/sha256_of.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Parts of a file that threads hash at the same time. */
static const size_t PART_BYTES = (size_t)4 << 20;
enum { DIGEST_BYTES = 65 }; /* 64 digits and a line end, or NUL */

/* ---- what is remembered ---- */

/* The source id has the metadata and samples of the weights in it; the rest tells a file that was
 * written since. ctime cannot be set back as mtime can. */
tn_status tn_model_identity(tn_model_file *file, char out[65], tn_error *err)
{
    tn_sha256 h;
    char text[256];
    tn_sha256_init(&h);
    for (int32_t i = 0; i < tn_model_file_n_shards(file); i++) {
        struct stat st;
        const char *path = tn_model_file_shard(file, i);
        if (stat(path, &st) != 0)
            return tn_fail(err, TN_INVALID, "cannot examine %s: %s", path, strerror(errno));
        int n = snprintf(text, sizeof text, "%" PRIx64 " %ju %jd %jd.%09ld %jd.%09ld\n",
                         tn_model_file_weights(file)->id, (uintmax_t)st.st_ino,
                         (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                         (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
        tn_sha256_update(&h, text, (size_t)n);
    }
    tn_sha256_hex(&h, out);
    return TN_OK;
}

static bool recall(const char *path, char out[65])
{
    char *text = NULL;
    size_t n = 0;
    tn_error ignored = { 0 };
    if (tn_cache_check_owner(path, &ignored) ||
        tn_file_read(path, DIGEST_BYTES, &text, &n, &ignored))
        return false;
    const bool is_digest = n == DIGEST_BYTES && text[n - 1] == '\n' &&
                           strspn(text, "0123456789abcdef") == DIGEST_BYTES - 1;
    if (is_digest) {
        memcpy(out, text, DIGEST_BYTES - 1);
        out[DIGEST_BYTES - 1] = 0;
        tn_cache_touch(path);
    }
    tn_free(text);
    return is_digest;
}

/* A clock ticks, and what is written twice within a tick has one time: too new to be told from what
 * comes next. */
static bool is_settled(const tn_model_file *file)
{
    for (int32_t i = 0; i < tn_model_file_n_shards(file); i++) {
        struct stat st;
        if (stat(tn_model_file_shard(file, i), &st) != 0 || time(NULL) - st.st_ctim.tv_sec < 2)
            return false;
    }
    return true;
}

/* ---- the bytes ---- */

typedef struct part_hashes {
    const tn_file_map *map;
    char (*hex)[65];
} part_hashes;

static void hash_parts(void *arg, int64_t i0, int64_t i1, int32_t worker)
{
    const part_hashes *job = arg;
    (void)worker;
    for (int64_t i = i0; i < i1; i++) {
        const size_t at = (size_t)i * PART_BYTES, left = job->map->size - at;
        tn_sha256_of(job->map->data + at, left < PART_BYTES ? left : PART_BYTES, job->hex[i]);
    }
}

static tn_status hash_shard(const char *path, tn_team *team, tn_sha256 *h, tn_error *err)
{
    tn_file_map map;
    tn_map_guard *guard = NULL;
    TN_TRY(tn_file_map_open(&map, path, err));
    const size_t n = map.size / PART_BYTES + (map.size % PART_BYTES != 0);
    part_hashes job = { &map, tn_alloc_array(n, sizeof *job.hex) };
    tn_status st = job.hex ? tn_map_guard_add(&map, &guard, err)
                           : tn_fail_memory(err, "the digest of the model");
    if (!st) {
        tn_team_for(team, (int64_t)n, hash_parts, &job);
        tn_sha256_update(h, job.hex, n * sizeof *job.hex);
        st = tn_map_guard_check(guard, path, err);
    }
    tn_map_guard_remove(guard);
    tn_free(job.hex);
    tn_file_map_close(&map);
    return st;
}

static tn_status hash_all(tn_model_file *file, tn_team *team, char out[65], tn_error *err)
{
    tn_sha256 h;
    const uint64_t id = tn_model_file_weights(file)->id;
    tn_sha256_init(&h);
    tn_sha256_update(&h, &id, sizeof id);
    for (int32_t i = 0; i < tn_model_file_n_shards(file); i++)
        TN_TRY(hash_shard(tn_model_file_shard(file, i), team, &h, err));
    tn_sha256_hex(&h, out);
    return TN_OK;
}

/* A digest that cannot be kept is made again the next time. */
static void remember(tn_model_file *file, const char *path, const char *identity,
                     const char digest[65])
{
    char now[65];
    tn_error ignored = { 0 };
    const tn_file_part part[] = { { digest, DIGEST_BYTES - 1 }, { "\n", 1 } };
    const tn_write_args args = { .part = part, .n_parts = 2, .mode = 0600 };
    if (is_settled(file) && !tn_model_identity(file, now, &ignored) && strcmp(identity, now) == 0 &&
        tn_write_file(path, &args, &ignored))
        tn_log(TN_LOG_DEBUG, "cache", "%s", ignored.text);
}

tn_status tn_model_digest(tn_model_file *file, tn_team *team, const char *dir, char out[65],
                          tn_error *err)
{
    char identity[65];
    TN_TRY(tn_model_identity(file, identity, err));
    char *path = tn_cache_dir_file(dir, identity, TN_CACHE_DIGEST);
    if (!path)
        return tn_fail_memory(err, "the digest of the model");
    tn_status st = TN_OK;
    if (!recall(path, out)) {
        st = hash_all(file, team, out, err);
        if (!st)
            remember(file, path, identity, out);
    }
    tn_free(path);
    return st;
}
