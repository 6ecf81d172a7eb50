/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tensors of a model file as bytes of another, piece by piece: canonical rows from the source, each
 * piece encoded, its rows put in the target's order, and given to the target's writer. Memory stays
 * at some MB whatever a tensor's size. Thread: one thread's.
 */
#ifndef TN_APPS_CONVERT_TENSOR_STREAM_H
#define TN_APPS_CONVERT_TENSOR_STREAM_H

#include "apps/convert/convert.h"
#include "model/formats/model_file.h"
#include "model/formats/weight_format.h"

typedef struct tn_convert_stream tn_convert_stream;
typedef struct tn_convert_tensor tn_convert_tensor;

/** Canonical rows as bytes of t->format, rows->rows lines of s->row_bytes. What is lost goes into
 * the report by tn_convert_note_error. */
typedef tn_status (*tn_convert_encoder)(tn_convert_stream *s, const tn_convert_tensor *t,
                                        const tn_weight_rows *rows, uint8_t *bytes, tn_error *err);

/* The order of the rows of q and k, whose rotated dimensions come as pairs: GGUF's neighbours, or
 * Hugging Face's halves of a head. */
enum { TN_ORDER_SAME = 0, TN_ORDER_TO_HALVES, TN_ORDER_TO_PAIRS };

struct tn_convert_tensor {
    const char *name;    /* in the target */
    tn_weight_info info; /* in the source */
    const tn_weight_format *format;
    tn_convert_encoder encode;
    int32_t order;  /* TN_ORDER_* */
    bool is_vector; /* its elements are what is ordered */
};

typedef struct tn_convert_tensors {
    tn_convert_tensor *tensor;
    int32_t n;
    uint64_t elements; /* of all */
} tn_convert_tensors;

struct tn_convert_stream {
    const tn_convert_args *args;
    const tn_weight_source *source;
    int32_t head_dim, rotary_dim;
    void *sink;
    tn_status (*put)(void *sink, const void *bytes, size_t n, tn_error *err);
    tn_convert_report *report;
    uint64_t done, total;     /* elements */
    float *values, *line;     /* of a piece; of one row, in the target's rounding */
    uint8_t *bytes, *ordered; /* of a piece */
    size_t row_bytes;         /* in the target */
};

/** What the source says of a tensor; the rest is the caller's. */
tn_convert_tensor tn_convert_tensor_of(const tn_weight_info *info);
/** The order of t's rows, if they have one. */
void tn_convert_set_order(tn_convert_tensor *t, int32_t order);

/** The rest of the stream is the caller's: sink, put, report, total. */
tn_status tn_convert_stream_init(tn_convert_stream *s, const tn_convert_args *args,
                                 tn_model_file *file, tn_error *err) TN_MUST_USE;
/** All bytes of t into the sink. */
tn_status tn_convert_stream_tensor(tn_convert_stream *s, const tn_convert_tensor *t,
                                   tn_error *err) TN_MUST_USE;
/** Those of rows [first, first + n), whole heads; of a vector, of its elements. */
tn_status tn_convert_stream_rows(tn_convert_stream *s, const tn_convert_tensor *t, int64_t first,
                                 int64_t n, tn_error *err) TN_MUST_USE;
/** Nothing more is read of t. */
void tn_convert_stream_done(const tn_convert_stream *s, const tn_convert_tensor *t);
/** One more tensor of a format in the report. */
void tn_convert_count(tn_convert_report *report, const char *format, uint64_t bytes);
/** Bytes of t in the target. */
uint64_t tn_convert_bytes_of(const tn_convert_tensor *t);

/** The encoder of plain formats: every value rounded to the nearest. TN_INVALID for one that the
 * format cannot hold. */
tn_status tn_convert_encode_values(tn_convert_stream *s, const tn_convert_tensor *t,
                                   const tn_weight_rows *rows, uint8_t *bytes,
                                   tn_error *err) TN_MUST_USE;
/** The largest rounding error of a row, and its largest weight. */
void tn_convert_note_error(tn_convert_stream *s, const tn_convert_tensor *t, double error,
                           double largest);

/** "auto", "f32", "f16" or "bf16" for a tensor: auto keeps what is plain and takes F16 for others.
 * TN_INVALID for another word. */
tn_status tn_convert_plain_format(const char *dtype, const tn_weight_info *info,
                                  const tn_weight_format **out, tn_error *err) TN_MUST_USE;

#endif
