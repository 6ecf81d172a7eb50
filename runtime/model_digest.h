/* SPDX-License-Identifier: Apache-2.0 */
/* Which model a file holds, wherever it lies: a digest of all its bytes, remembered in the cache
 * directory by the file's identity, so that they are read once. */
#ifndef TN_RUNTIME_MODEL_DIGEST_H
#define TN_RUNTIME_MODEL_DIGEST_H

#include "core/base/team.h"
#include "model/formats/model_file.h"

/** What tells these very files from others and from themselves after a write: 64 hex digits. */
tn_status tn_model_identity(tn_model_file *file, char out[65], tn_error *err) TN_MUST_USE;

/**
 * 64 hex digits and NUL: SHA-256 of the SHA-256 of every 4 MiB of every shard, and of the source
 * id, which covers what else the model is read from. dir is that of tn_cache_dir_open.
 */
tn_status tn_model_digest(tn_model_file *file, tn_team *team, const char *dir, char out[65],
                          tn_error *err) TN_MUST_USE;

#endif
