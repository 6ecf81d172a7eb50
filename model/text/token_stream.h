/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids of one answer, in order, to text that can be shown: never half a UTF-8 character, never the
 * beginning of a stop string that may still complete (it is held back), nothing from a stop string
 * on. Thread: one thread a stream.
 */
#ifndef TN_MODEL_TEXT_TOKEN_STREAM_H
#define TN_MODEL_TEXT_TOKEN_STREAM_H

#include "model/text/tokenizer.h"

typedef struct tn_token_stream tn_token_stream;

/**
 * stops[n_stops]: NUL-terminated UTF-8 of 1 to 1024 bytes, at most 64, copied. special: control
 * tokens appear as text. The tokenizer is borrowed until destroy. What the stream shows is
 * tn_tokenizer_decode of all its ids, with U+FFFD for each ill-formed part, cut before the stop
 * string that completes first.
 */
tn_status tn_token_stream_create(const tn_tokenizer *t, const char *const *stops, size_t n_stops,
                                 bool special, tn_token_stream **out, tn_error *err) TN_MUST_USE;
/** Before the first push: a stop string that completes within the first n_ids ids is text like any
 * other (min_tokens). */
void tn_token_stream_hold_stops(tn_token_stream *s, int32_t n_ids);
/**
 * Add one id. Appends what can be shown now to *out. *out_stopped becomes true when a stop string
 * has completed, and stays so; later ids are ignored. After an error the stream can only be
 * destroyed.
 */
tn_status tn_token_stream_push(tn_token_stream *s, int32_t id, tn_strbuf *out, bool *out_stopped,
                               tn_error *err) TN_MUST_USE;
/** The end: append what was held back; bytes that are no UTF-8 come out as U+FFFD. Call it once,
 * last. */
tn_status tn_token_stream_finish(tn_token_stream *s, tn_strbuf *out, tn_error *err) TN_MUST_USE;
void tn_token_stream_destroy(tn_token_stream *s);

#endif
