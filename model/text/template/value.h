/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of the template language, as Python has them, and the environment that owns their memory.
 * `tpl_` is the prefix of what the files of this directory share. Values never change once made,
 * but for namespaces, loops and iterators; all memory lives until the environment ends. Thread: one
 * thread at a time.
 */
#ifndef TN_MODEL_TEXT_TEMPLATE_VALUE_H
#define TN_MODEL_TEXT_TEMPLATE_VALUE_H

#include "core/base/arena.h"
#include "core/base/strbuf.h"

#include <stdint.h>

enum {
    TPL_MISSING = 0, /* no value at all: a variable not set, a parameter not given */
    TPL_UNDEFINED,
    TPL_NONE,
    TPL_BOOL,
    TPL_INT,
    TPL_FLOAT,
    TPL_STR,
    TPL_LIST,
    TPL_TUPLE,
    TPL_DICT,
    TPL_VIEW, /* dict.keys(), .values(), .items() */
    TPL_RANGE,
    TPL_ITER, /* a generator: can be read once */
    TPL_NAMESPACE,
    TPL_LOOP,
    TPL_MACRO,
    TPL_FUNCTION, /* a global */
    TPL_METHOD,   /* a method with its object */
    TPL_CYCLER,
    TPL_JOINER
};

typedef struct tpl_value {
    uint8_t kind;
    union {
        int64_t i; /* BOOL and INT */
        double d;
        const struct tpl_str *s;
        const struct tpl_list *list; /* LIST and TUPLE */
        const struct tpl_dict *dict;
        const struct tpl_undefined *undefined;
        const struct tpl_view *view;
        const struct tpl_range *range;
        struct tpl_iter *iter;
        struct tpl_namespace *ns;
        struct tpl_loop *loop;
        const struct tpl_macro *macro;
        const struct tpl_function *function;
        const struct tpl_method *method;
        struct tpl_cycler *cycler;
    } u;
} tpl_value;

typedef struct tpl_str {
    const char *data; /* valid UTF-8, may hold NUL bytes */
    size_t n, n_chars;
    bool markup; /* went through |safe or |escape: Python's operators would escape what it is joined
                    with */
} tpl_str;

typedef struct tpl_list {
    const tpl_value *item;
    size_t n;
    bool is_group; /* a pair of the filter groupby: has the attributes grouper and list */
} tpl_list;

typedef struct tpl_dict {
    tpl_value *key, *value; /* [n], in order of insertion */
    size_t n, capacity;
} tpl_dict;

/* Why it is undefined: hint, or "OBJ has no attribute NAME", or "NAME is undefined". */
typedef struct tpl_undefined {
    const char *hint;
    tpl_value object, name; /* MISSING object: a variable */
} tpl_undefined;

enum { TPL_KEYS, TPL_VALUES, TPL_ITEMS };
typedef struct tpl_view {
    const tpl_dict *dict;
    int32_t what;
} tpl_view;

typedef struct tpl_range {
    int64_t start, stop, step;
    size_t n;
} tpl_range;

/* Read in part, it could only be read on as Python would by keeping its code half done: an error.
 */
enum { TPL_ITER_FRESH, TPL_ITER_PARTLY, TPL_ITER_DONE };
typedef struct tpl_iter {
    tpl_list items;
    int32_t state;
    tn_status failure; /* what reading behind the items ends with, and its text */
    const tn_error *failure_text;
} tpl_iter;

typedef struct tpl_namespace {
    tpl_dict dict;
} tpl_namespace;

typedef struct tpl_cycler { /* JOINER: item[0] is the separator, at counts its uses */
    tpl_list items;
    size_t at;
} tpl_cycler;

typedef struct tpl_macro {
    const struct tpl_node *node;
    struct tpl_scope *scope; /* where it is defined */
    const tpl_str *name;     /* NULL: the caller of a call block */
} tpl_macro;

typedef struct tpl_method {
    tpl_value self;
    const struct tpl_function *function;
} tpl_method;

/* One parse or one render: memory with a cap, where the error goes, what is left of each limit. */
typedef struct tpl_env {
    tn_arena arena;
    size_t used_bytes, max_bytes;
    uint64_t steps_left;
    int32_t depth, max_depth;
    int32_t line; /* of what is being done, for errors */
    tn_error *err;
    /* rendering only */
    tn_strbuf *out; /* where output goes now */
    size_t max_output_bytes;
    const tpl_dict *globals; /* the context */
    int64_t now;             /* seconds since 1970, or TPL_NO_TIME */
} tpl_env;

#define TPL_NO_TIME INT64_MIN

/** "line N: text". The first: the template is wrong. The second: it is outside of what is
 * supported. */
tn_status tpl_fail(tpl_env *e, const char *format, ...) TN_PRINTF(2, 3);
tn_status tpl_unsupported(tpl_env *e, const char *format, ...) TN_PRINTF(2, 3);
/** Count n units of work; an error when the limit is reached. */
tn_status tpl_charge(tpl_env *e, size_t n) TN_MUST_USE;
/** One level deeper; each tpl_enter that returns TN_OK needs a tpl_leave. */
tn_status tpl_enter(tpl_env *e) TN_MUST_USE;
void tpl_leave(tpl_env *e);
/** Zeroed memory for n elements of `size` bytes. */
tn_status tpl_alloc(tpl_env *e, size_t n, size_t size, void *out) TN_MUST_USE;

/* ---- making values ---- */

#define TPL_NONE_VALUE     ((tpl_value){ .kind = TPL_NONE })
#define TPL_BOOL_VALUE(x)  ((tpl_value){ .kind = TPL_BOOL, .u.i = (x) ? 1 : 0 })
#define TPL_INT_VALUE(x)   ((tpl_value){ .kind = TPL_INT, .u.i = (x) })
#define TPL_FLOAT_VALUE(x) ((tpl_value){ .kind = TPL_FLOAT, .u.d = (x) })

/** A string of bytes that live long enough, or of a copy. */
tn_status tpl_str_borrow(tpl_env *e, const char *data, size_t n, tpl_value *out) TN_MUST_USE;
tn_status tpl_str_copy(tpl_env *e, const char *data, size_t n, tpl_value *out) TN_MUST_USE;
/** TN_OK, or the error that an unfinished text is: too long, or lack of memory. */
tn_status tpl_check_buffer(tpl_env *e, const tn_strbuf *b) TN_MUST_USE;
/** The text of a buffer, which is emptied of its memory; an error when it failed. */
tn_status tpl_str_take(tpl_env *e, tn_strbuf *b, tpl_value *out) TN_MUST_USE;
/** kind LIST, TUPLE or ITER over n items that stay where they are. */
tn_status tpl_list_new(tpl_env *e, uint8_t kind, const tpl_value *items, size_t n,
                       tpl_value *out) TN_MUST_USE;
/** A generator that gives n items and then, when status is an error, fails so: Jinja2 runs the body
 * of a generator only when it is read. */
tn_status tpl_iter_new(tpl_env *e, tn_status status, const tpl_value *items, size_t n,
                       tpl_value *out) TN_MUST_USE;
tn_status tpl_pair_new(tpl_env *e, tpl_value a, tpl_value b, tpl_value *out) TN_MUST_USE;
tn_status tpl_undefined_new(tpl_env *e, const char *hint, tpl_value object, tpl_value name,
                            tpl_value *out) TN_MUST_USE;
/** The error that using an undefined value is. */
tn_status tpl_undefined_error(tpl_env *e, tpl_value v);

tn_status tpl_dict_new(tpl_env *e, tpl_dict **out) TN_MUST_USE;
tn_status tpl_dict_set(tpl_env *e, tpl_dict *d, tpl_value key, tpl_value value) TN_MUST_USE;
/** *out is MISSING when the key is not there; an error when it cannot be a key. */
tn_status tpl_dict_get(tpl_env *e, const tpl_dict *d, tpl_value key, tpl_value *out) TN_MUST_USE;
tpl_value tpl_dict_find(const tpl_dict *d, const char *key, size_t n);
bool tpl_hashable(tpl_value v);
/** An error when v cannot be a key. */
tn_status tpl_need_hashable(tpl_env *e, tpl_value v) TN_MUST_USE;

/* A list under construction. */
typedef struct tpl_items {
    tpl_value *item;
    size_t n, capacity;
} tpl_items;
tn_status tpl_items_add(tpl_env *e, tpl_items *items, tpl_value v) TN_MUST_USE;

/* ---- asking values ---- */

/** "str", "dict", "NoneType": Python's name of the type. */
const char *tpl_type_name(tpl_value v);
bool tpl_is_number(tpl_value v); /* bool, int, float */
bool tpl_is_iterable(tpl_value v);
bool tpl_is_int(tpl_value v); /* bool, int */
double tpl_as_double(tpl_value v);
bool tpl_truth(tpl_value v);
/** len(v); an error when it has none. */
tn_status tpl_length(tpl_env *e, tpl_value v, size_t *out) TN_MUST_USE;
/** What iteration gives, all at once; uses up an iterator. */
tn_status tpl_iterate(tpl_env *e, tpl_value v, tpl_list *out) TN_MUST_USE;
tpl_value tpl_range_at(const tpl_range *r, size_t index);
bool tpl_str_is(const tpl_str *s, const char *text);
bool tpl_is_markup(tpl_value v);
/** The first place of part in text[from, n), or SIZE_MAX. */
size_t tpl_find_text(const char *text, size_t n, const tpl_str *part, size_t from);

/* ---- compare.c ---- */

tn_status tpl_equal(tpl_env *e, tpl_value a, tpl_value b, bool *out) TN_MUST_USE;
/** a < b */
tn_status tpl_less(tpl_env *e, tpl_value a, tpl_value b, bool *out) TN_MUST_USE;
/** item in container */
tn_status tpl_contains(tpl_env *e, tpl_value item, tpl_value container, bool *out) TN_MUST_USE;
/** Stable sort of index[n] by key[index]; lists: keys compare as one-element lists would. */
enum { TPL_SORT_PLAIN = 0, TPL_SORT_REVERSE = 1, TPL_SORT_LISTS = 2 };
tn_status tpl_sort(tpl_env *e, const tpl_value *key, size_t *index, size_t n,
                   unsigned flags) TN_MUST_USE;

/* ---- repr.c, tojson.c ---- */

/** str(v) and repr(v), appended. */
tn_status tpl_put_str(tpl_env *e, tpl_value v, tn_strbuf *out) TN_MUST_USE;
tn_status tpl_put_repr(tpl_env *e, tpl_value v, tn_strbuf *out) TN_MUST_USE;
void tpl_put_float(double d, tn_strbuf *out);
/** str(v) as a string value. */
tn_status tpl_to_str(tpl_env *e, tpl_value v, const tpl_str **out) TN_MUST_USE;
/** A buffer for a text under construction; tpl_str_take or tn_strbuf_deinit ends it. */
tn_strbuf tpl_buffer(const tpl_env *e);

typedef struct tpl_json_style {
    bool ensure_ascii, sort_keys;
    const tpl_str *indent;        /* NULL: one line */
    const tpl_str *comma, *colon; /* separators */
} tpl_json_style;
tn_status tpl_put_json(tpl_env *e, tpl_value v, const tpl_json_style *style,
                       tn_strbuf *out) TN_MUST_USE;

/* ---- from_json.c ---- */

struct json_t;
/** The strings stay jansson's. */
tn_status tpl_from_json(tpl_env *e, const struct json_t *json, tpl_value *out) TN_MUST_USE;

#endif
