/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packed weights of a setup, kept in the cache directory: the first start packs and writes
 * them, the next one maps them. What decides their bytes is the key of the file: the model's
 * digest, each plugin's file, the layouts and this program's readers; so a change of any of them is
 * another file, and nothing is ever stale.
 *
 *     tn_pack_cache_open(&setup, &cache, &err);           // NULL: there is none, which is no error
 *     args.cache = tn_pack_cache_blobs(cache);            // of the engine or a weight store
 *     ... create it ...
 *     tn_pack_cache_commit_behind(cache);                 // or commit: now
 *     ... run ...
 *     tn_pack_cache_wait(cache);
 *     ... destroy the engine or store ...
 *     tn_pack_cache_close(cache);
 *
 * What was packed is not copied: it is written from where the kernels read it.
 * Thread: made, filled and closed by one thread; check from any.
 */
#ifndef TN_RUNTIME_PACK_CACHE_H
#define TN_RUNTIME_PACK_CACHE_H

#include "runtime/setup.h"

typedef struct tn_pack_cache tn_pack_cache;

/**
 * *out NULL with TN_OK: the profile or $TENON_CACHE_LIMIT switch it off. TN_UNAVAILABLE: there can
 * be no cache here, and why; to a run this is no failure. Files that are damaged or not the user's
 * are told as warnings and made again.
 */
tn_status tn_pack_cache_open(const tn_setup *setup, tn_pack_cache **out, tn_error *err) TN_MUST_USE;
void tn_pack_cache_close(tn_pack_cache *cache);

/** NULL for NULL. Borrowed until close. */
const tn_blob_cache *tn_pack_cache_blobs(const tn_pack_cache *cache);
/** Were the packed weights there? Then nothing is packed. */
bool tn_pack_cache_is_hit(const tn_pack_cache *cache);
/** Path of the file, and its bytes. */
const char *tn_pack_cache_path(const tn_pack_cache *cache);
uint64_t tn_pack_cache_bytes(const tn_pack_cache *cache);

/** All was packed, and is still there: write it, and put the file in its place. TN_UNAVAILABLE when
 * it could not be written, and why. Nothing to do for NULL and after a hit. */
tn_status tn_pack_cache_commit(tn_pack_cache *cache, tn_error *err) TN_MUST_USE;
/** The same on a thread of its own, which warns; until wait returns, nothing but find's blobs,
 * check, is_hit, path and bytes may be used, and what was packed must stay. */
void tn_pack_cache_commit_behind(tn_pack_cache *cache);
/** Nothing to wait for: no matter. NULL likewise. */
void tn_pack_cache_wait(tn_pack_cache *cache);
/** TN_INTERNAL when another program cut the mapped file off: the weights are not what they were. */
tn_status tn_pack_cache_check(const tn_pack_cache *cache, tn_error *err) TN_MUST_USE;

#endif
