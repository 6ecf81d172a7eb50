/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A buffer in a domain with canaries on both sides, and its image on the host. What is sent is
 * remembered, so that a byte that a kernel had no right to change is found, wherever the memory is.
 * Thread: one.
 */
#ifndef TN_APPS_CHECK_GUARDED_H
#define TN_APPS_CHECK_GUARDED_H

#include "core/plugin/domain.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct tn_guarded {
    const tn_device *device;
    void *stream;
    uint64_t base, addr; /* of the block with its guards, and of the bytes between them */
    size_t bytes;
    uint8_t *sent; /* host image with guards, as last sent */
    uint8_t *back; /* as last fetched */
} tn_guarded;

/** bytes of memory, filled with 0xff in the image (NaN in every float format): nothing is sent yet.
 */
tn_status tn_guarded_open(const tn_device *device, void *stream, size_t bytes, tn_guarded *out,
                          tn_error *err) TN_MUST_USE;
void tn_guarded_close(tn_guarded *g);
/** The bytes between the guards: to be filled before send, and as fetched. */
void *tn_guarded_image(const tn_guarded *g);
const void *tn_guarded_result(const tn_guarded *g);
/** False when somebody wrote past the ends of the image (pack works in it). */
bool tn_guarded_image_is_whole(const tn_guarded *g);
tn_status tn_guarded_send(tn_guarded *g, tn_error *err) TN_MUST_USE;
/** Let the host's images go: nothing is found any more, and nothing can be sent or fetched. */
void tn_guarded_trust(tn_guarded *g);
/** Wait for the stream and copy all of it back. */
tn_status tn_guarded_fetch(tn_guarded *g, tn_error *err) TN_MUST_USE;
/** After a fetch: where the first changed guard byte lies, relative to the bytes (negative: in
 * front, >= bytes: behind); false when both are whole. */
bool tn_guarded_overrun(const tn_guarded *g, int64_t *out_at);
/** After a fetch: the first byte between the guards that is not as sent; false when none is. */
bool tn_guarded_changed(const tn_guarded *g, int64_t *out_at);

#endif
