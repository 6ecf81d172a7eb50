/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin ABI of tenon, major version 1. A plugin is a shared library that exports one constant, tn_plugin_v1; it includes this
 * header, links nothing of tenon, and is found by name or path from a run profile. plugins/template is a whole one;
 * docs/add-a-plugin.md walks through it; docs/ops.md fixes every op's inputs, outputs and weights; docs/plugin-abi.md has the reasons.
 *
 * Evolution. Structs grow at their end only and `size` is set by sizeof. The host copies min(size, its own) of what a plugin gives
 * into zeroed structs, once, so an absent field is 0. A plugin asks TN_HAS before it reads a later field of what the host gives.
 * Frozen for major 1: tn_error, tn_tensor. Integers have fixed widths; there is no bool, enum type or bit-field in a struct; arrays
 * are arrays of pointers. Names of ops and formats are strings, "vendor/x" for private ones.
 *
 * Contract. open and close: one at a time, any thread. supports, plan, pack, unpack, block_bytes, to_f32: pure (the same answer for
 * the same arguments, no side effects) and reentrant, any thread. run and the domain's functions: one call at a time per stream.
 * Pointers passed in are valid during the call; tn_host and a bound tn_node, with what they point to, until close. Strings in
 * descriptors are static. Nothing aborts, exits, throws or jumps over the border; no setenv, setlocale, chdir, signal handlers, stdout.
 */
#ifndef TENON_PLUGIN_H
#define TENON_PLUGIN_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#define TN_ABI_MINOR 0u
#define TN_EXPORT __attribute__((visibility("default")))

/* ---- status ---- */

/*
 * What the host does with a code: UNSUPPORTED, asks the next plugin; UNAVAILABLE (from open: this machine lacks something), skips the
 * plugin; NO_MEMORY, INVALID, INTERNAL, fails the load or the request; DEVICE_LOST, fails all requests and uses the domain no more.
 */
typedef int32_t tn_status;
enum { TN_OK = 0, TN_UNSUPPORTED = 1, TN_UNAVAILABLE = 2, TN_NO_MEMORY = 3, TN_INVALID = 4, TN_DEVICE_LOST = 5, TN_INTERNAL = 6 };

/** Owned by the caller, never NULL when the host calls. text: one line, NUL-terminated, no trailing period: what is wrong, what is allowed. */
typedef struct tn_error { int32_t code; char text[252]; } tn_error;

enum { TN_F32 = 1, TN_F16 = 2, TN_BF16 = 3, TN_I32 = 4, TN_I8 = 5, TN_U8 = 6, TN_U32 = 7 };

/**
 * A view of memory in the node's domain. The last dimension has stride 1; buffers begin at multiples of 256 bytes, rows at multiples
 * of 16. dim[0] is the number of rows of this call and may be anything up to the node's bounds; with 0 rows run is not called.
 */
typedef struct tn_tensor {
    uint64_t addr;                       /* host pointer or device pointer */
    int32_t dtype, rank;                 /* rank 2: [rows, width]; 3: [rows, heads, head_dim] */
    int64_t dim[4], stride[4];           /* strides in elements */
    const char *name;                    /* of the graph's edge, for messages; may be NULL */
    uint64_t reserved[5];
} tn_tensor;

/* ---- op parameters: which op has which stands in docs/ops.md ---- */
/* A scalar of 0 means its default: scales 1, attention scale 1/sqrt(head_dim), window, soft cap and logn off. */

/** embed: out = scale * row. vocab rows of dim values in format wfmt; group and values as in tn_part. */
typedef struct tn_embed { uint32_t size; int32_t vocab, dim, group, values; float scale; const char *wfmt; } tn_embed;
/** rmsnorm over rows of dim values: y = x / sqrt(mean(x^2) + eps) * (w + offset). */
typedef struct tn_norm { uint32_t size; int32_t dim; float eps, offset; } tn_norm;

/** One matrix of a linear: out rows of tn_linear.in columns, which give `out` columns of the result. */
typedef struct tn_part {
    uint32_t size;
    int32_t out, bias, group;            /* bias: 1 when rows come with one. group: columns a scale; 0 for plain formats */
    int32_t values, reserved;            /* values 1: rows arrive as f32 values whatever wfmt says (K-quants, plain) */
    const char *wfmt;                    /* "f16" "u4z.g128" "u4b.g32" "q8.g32" "q4_k" ... */
} tn_part;
enum { TN_ACT_SILU = 1, TN_ACT_GELU = 2, TN_ACT_GELU_TANH = 3 };
/** linear, linear_add, linear_glu, norm_linear, norm_linear_glu: out_scale * (W x + b), parts side by side. */
typedef struct tn_linear {
    uint32_t size;
    int32_t in, n_parts, act;            /* act: for *_glu, parts are gate and up */
    const tn_part *const *part;          /* [n_parts]; parts of one node share one weight format */
    float eps, offset;                   /* for norm_*, as in tn_norm */
    float out_scale;
} tn_linear;

/** add, glu, gather_rows, argmax: rows of dim values. act and scale: glu. */
typedef struct tn_rows_op {
    uint32_t size;
    int32_t dim, act, reserved;
    float scale;
} tn_rows_op;

enum { TN_ROPE_HALVES = 1, TN_ROPE_INTERLEAVED = 2 };
/** qk_norm, rope, rope_kv_write. Rotates the first rotary_dim (even) of head_dim; cos and sin are multiplied by mscale. */
typedef struct tn_rope {
    uint32_t size;
    int32_t heads, kv_heads, head_dim, rotary_dim, pairing, qk_norm;   /* qk_norm 1: rope_kv_write norms q and k per head first */
    float qk_eps, qk_offset, mscale;
} tn_rope;
/** attention, kv_write; also param2 of rope_kv_write, for the KV format (logn acts in attention only). */
typedef struct tn_attention {
    uint32_t size;
    int32_t heads, kv_heads, head_dim, window, logn_length;            /* window, logn_length: tokens */
    float scale, softcap;
    const float *kv_static;              /* i8-static: [n_kv_static][4] k_scale k_zp v_scale v_zp; also a plain weight part, for devices */
    int32_t n_kv_static, reserved;       /* 1, or kv_heads */
} tn_attention;

/**
 * All that is known when binding. A yes from `supports` holds for every batch inside the bounds. The dtypes are as wired: logits and
 * linear_add's temporary are f32 whatever the classes say.
 */
typedef struct tn_node {
    uint32_t size;
    int32_t layer;                       /* -1 outside the layers */
    const char *op, *path;               /* "norm_linear", "layer.7.qkv" */
    const char *kvfmt;                   /* "f16" "i8" ... for ops on the KV pool, else NULL */
    int32_t resid_dtype, act_dtype;      /* edge classes: residual stream and activations */
    int32_t n_in, n_out, in_dtype[4], out_dtype[2];
    int32_t max_tokens, max_seqs, max_ctx, block_tokens;   /* of a batch, of a batch, of a sequence, of a KV block */
    int32_t max_rows, reserved;          /* rows after gather_rows */
    const void *param, *param2;          /* param by op; param2: tn_attention for rope_kv_write */
} tn_node;

/**
 * One step: ragged sequences over a paged KV cache. uint64_t members are addresses of int32 arrays (rope_table: f32) in the node's
 * domain; h_* are the same arrays in host memory. CAPTURE_SAFE kernels read no h_*, and may see counts rounded up to a bucket, the
 * surplus padded (slot -1, kv_len 0).
 */
typedef struct tn_batch {
    uint32_t size;
    int32_t n_tokens, n_seqs, n_decode;  /* the first n_decode sequences have one token */
    int32_t n_rows;                      /* rows whose logits are wanted */
    int32_t max_q, max_kv, table_stride; /* longest new part and longest kv_len of a sequence; block ids a table row */
    int32_t n_tables, reserved;
    uint64_t tokens, pos, slot;          /* [n_tokens]; slot = block * block_tokens + offset to write; -1 writes nothing (padding) */
    uint64_t q_start;                    /* [n_seqs + 1] first token of each sequence */
    uint64_t kv_len, rope_index;         /* [n_seqs]; kv_len counts this step; 0 is padding, its output is zeros; rope_index: row of rope_table */
    uint64_t table;                      /* [n_seqs][table_stride] block ids; only the first ceil(kv_len / block_tokens) are valid */
    uint64_t rows;                       /* [n_rows] token indices */
    uint64_t rope_table;                 /* f32 [n_tables][rotary_dim/2] inverse frequencies, made by the core */
    const int32_t *h_tokens, *h_pos, *h_slot, *h_q_start, *h_kv_len, *h_rope_index, *h_table, *h_rows;
    const float *h_rope_table;
} tn_batch;

/**
 * Canonical rows [row0, row0 + rows) of one part; never file bytes. Either `values`, or codes with scale (and zero): u4z
 * (q - zero) * scale, u4b q * scale + zero, q8 (q - 128) * scale. Vectors (norm weights) are plain parts of one row.
 */
typedef struct tn_weight_rows {
    uint32_t size;
    int32_t part, rows, cols, group;     /* group 0: plain */
    int64_t row0;
    const float *values;                 /* f32 [rows][cols] */
    const uint8_t *codes;                /* u4z/u4b: 0..15 as bytes [rows][cols]; q8: signed, biased by 128 */
    const float *scale, *zero;           /* [rows][cols/group]; zero: integer zero point 0..16 (u4z) or offset (u4b), NULL for q8 */
    const float *bias;                   /* [rows] or NULL */
} tn_weight_rows;

/** All that the host must allocate for a node. Zeroed before `plan`, but for size. */
typedef struct tn_plan {
    uint32_t size, pack_rows;            /* pack may be called on row ranges that are multiples of pack_rows (the last may be short); 0 = 1 */
    uint64_t weight_bytes, workspace_bytes;                   /* workspace: shared by all nodes, undefined at entry of run */
    uint64_t zeroed_bytes, tag;                               /* zeroed: the node's own, zeroed once, left zero by run; tag: variant, handed back */
    const char *layout;                  /* id of the packed layout, with its version and ISA; equal id, tensors and bytes = one shared blob */
} tn_plan;

/** What run gets. Addresses are in the node's domain. in and out: [n_in], [n_out], in the order of docs/ops.md. */
typedef struct tn_launch {
    uint32_t size, n_in, n_out, reserved;
    const tn_tensor *in, *out;
    const tn_batch *batch;
    uint64_t weight, kv, kv_block_bytes, workspace, workspace_bytes;   /* block b of this layer: kv + b * kv_block_bytes (a stride, multiple of 256) */
    uint64_t zeroed, tag;
    void *stream;                        /* the domain's own (CUstream); NULL on host */
} tn_launch;

/*
 * Claims, verified by `tenon check`. CAPTURE_SAFE: may be recorded in a graph and replayed. DETERMINISTIC: same inputs, same bits.
 * BATCH_INVARIANT: a row's bits do not depend on the rest of the batch, on chunking or on the number of threads. IN_PLACE: works
 * with the aliasing that docs/ops.md allows for its op, and without.
 */
enum { TN_K_CAPTURE_SAFE = 1, TN_K_DETERMINISTIC = 2, TN_K_BATCH_INVARIANT = 4, TN_K_IN_PLACE = 8 };

/** One way to compute one op. plan, pack and unpack may be NULL for ops without weights; unpack always (the checker then skips it). */
typedef struct tn_kernel {
    uint32_t size, flags;
    const char *op, *name, *tolerance;   /* "linear", "acme.linear.w4", class: exact f32acc f16acc a8 */
    /** TN_OK: a promise for every batch inside the node's bounds. Else TN_UNSUPPORTED and why, which users read in `tenon explain`. */
    tn_status (*supports)(void *self, const tn_node *node, tn_error *why);
    /** Fill *plan for a node that was claimed; called once a node. */
    tn_status (*plan)(void *self, const tn_node *node, tn_plan *plan, tn_error *err);
    /**
     * Canonical rows of one part into blob: host memory of weight_bytes, zeroed before the first call. Ranges of rows and parts may be
     * packed concurrently and write disjoint bytes. The result must not depend on how rows were split.
     */
    tn_status (*pack)(void *self, const tn_node *node, const tn_weight_rows *rows, void *blob, tn_error *err);
    /** The f32 values [cols] that run will use for a row of a part, read back from the packed blob. */
    tn_status (*unpack)(void *self, const tn_node *node, int32_t part, int64_t row, const void *blob, float *values, tn_error *err);
    /** Enqueue on launch->stream: no allocation, no waiting. Inside the bounds only TN_DEVICE_LOST may come back. */
    tn_status (*run)(void *self, const tn_node *node, const tn_launch *launch, tn_error *err);
} tn_kernel;

/** The bytes inside one KV block of one layer: block_tokens tokens, kv heads consecutive. The core owns pools and block tables. */
typedef struct tn_kv_format {
    uint32_t size, flags;                /* flags: none yet, 0 */
    const char *name;                    /* catalogue names (f32 f16 i8 i8-static) have the layout of docs/plugin-abi.md; private ones need to_f32 */
    /** Bytes of a block; for catalogue formats the core knows them, and another number is a load error. */
    tn_status (*block_bytes)(void *self, const tn_attention *attention, int32_t block_tokens, uint64_t *out_bytes, tn_error *err);
    /** A block in host memory as k, v: f32 [kv_heads][block_tokens][head_dim]. */
    tn_status (*to_f32)(void *self, const tn_attention *attention, int32_t block_tokens, const void *block, float *k, float *v, tn_error *err);
} tn_kv_format;

/* ---- device domain: memory and streams; one provider a process. A plugin that only has kernels names its domain and is done ---- */

enum { TN_TO_DEVICE = 1, TN_TO_HOST = 2, TN_ON_DEVICE = 3 };

/** self is that of the provider's open. Everything enqueued on one stream runs in order; streams know nothing of each other. */
typedef struct tn_domain {
    uint32_t size, flags;                /* flags: none yet, 0 */
    const char *name, *native;           /* "cuda", type of a stream: "CUstream" */
    int32_t resid_dtype, act_dtype;      /* what this domain prefers: host f32/f32, cuda f32/f16 */
    /** Number of usable devices; 0 or TN_UNAVAILABLE skips the plugin and those that depend on it. */
    tn_status (*devices)(void *self, int32_t *out_n, tn_error *err);
    /** name: at most cap bytes with NUL. Bytes free and in all, now. */
    tn_status (*describe)(void *self, int32_t dev, char *name, uint64_t cap, uint64_t *out_free_bytes, uint64_t *out_total_bytes, tn_error *err);
    /** Make current on the calling thread, before any other call there. */
    tn_status (*attach)(void *self, int32_t dev, tn_error *err);
    /** Device memory, 256-byte aligned, content undefined. release: nothing on a stream may still use it. */
    tn_status (*alloc)(void *self, int32_t dev, uint64_t bytes, uint64_t *out_addr, tn_error *err);
    void (*release)(void *self, int32_t dev, uint64_t addr);
    /** Host memory that copies fast. */
    tn_status (*host_alloc)(void *self, uint64_t bytes, void **out, tn_error *err);
    void (*host_release)(void *self, void *block);
    /** Enqueue. Addresses by direction (TN_TO_DEVICE: src is a host pointer); host ranges stay untouched until stream_wait. */
    tn_status (*copy)(void *self, uint64_t dst, uint64_t src, uint64_t n_bytes, int32_t direction, void *stream, tn_error *err);
    tn_status (*fill)(void *self, uint64_t dst, uint8_t byte, uint64_t n_bytes, void *stream, tn_error *err);
    tn_status (*stream_new)(void *self, int32_t dev, void **out_stream, tn_error *err);
    void (*stream_release)(void *self, void *stream);
    /** Until all that was enqueued is done; asynchronous errors surface here. */
    tn_status (*stream_wait)(void *self, void *stream, tn_error *err);
    /* Optional, all four or none: record what is enqueued between begin and end, replay it. */
    tn_status (*capture_begin)(void *self, void *stream, tn_error *err);
    tn_status (*capture_end)(void *self, void *stream, void **out_graph, tn_error *err);
    tn_status (*graph_run)(void *self, void *graph, void *stream, tn_error *err);
    void (*graph_release)(void *self, void *graph);
} tn_domain;

/* Is a field there? For structs that the host passes in. */
#define TN_HAS(p, field) ((p)->size >= (uint32_t)((const char *)&(p)->field - (const char *)(p)) + sizeof((p)->field))

/** What the host offers; first argument of each function: ctx. Valid until close. Any thread. */
typedef struct tn_host {
    uint32_t size, minor;
    void *ctx;
    void (*log)(void *ctx, int32_t level, const char *text);                  /* level: 0 error, 1 warning, 2 info, 3 debug */
    void *(*alloc)(void *ctx, uint64_t n_bytes);                              /* not zeroed; NULL when there is none */
    void (*release)(void *ctx, void *block);
    int32_t (*workers)(void *ctx);                                            /* constant until close */
    /** fn over [0, n) in tiles, on the host's threads; returns when all is done. worker: 0..workers-1, unique among running calls. Nested: inline. */
    void (*parallel_for)(void *ctx, int64_t n, void (*fn)(void *arg, int64_t i0, int64_t i1, int32_t worker), void *arg);
    const char *(*option)(void *ctx, const char *key);                        /* this plugin's options in the profile; NULL: not given */
    const tn_domain *domain;                                                  /* of plugin->domain; NULL for "host" and in its provider */
    void *domain_self;
    int32_t device, reserved;                                                 /* number of the device in that domain */
    const void *(*ext)(void *ctx, const char *id);                            /* named extensions; NULL: unknown */
} tn_host;

/** The descriptor. Constant data, so it is read before any code of the plugin runs. */
typedef struct tn_plugin {
    uint32_t size, minor, sanitizer, reserved;                                /* sanitizer it was built with: 0 none, 1 address, 2 thread */
    const char *name, *version, *domain, *build;                              /* domain its kernels run in: "host", "cuda" */
    /** *self goes to every other call. TN_UNAVAILABLE = skip, with the reason. May be NULL, as close. */
    tn_status (*open)(const tn_host *host, void **self, tn_error *err);
    void (*close)(void *self);
    const tn_kernel *const *kernels;                                          /* NULL-terminated; NULL in a mere domain provider */
    const tn_kv_format *const *kv_formats;                                    /* NULL-terminated; may be NULL */
    const tn_domain *provides;                                                /* a domain provider only */
    const void *(*ext)(void *self, const char *id);                           /* may be NULL */
} tn_plugin;

TN_EXPORT extern const tn_plugin tn_plugin_v1;                                /* the one exported symbol */
#ifdef __cplusplus
}
#endif
#endif
