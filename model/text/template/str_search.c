/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of str that search, split and ask. */
#include "model/text/template/function.h"
#include "model/text/template/unicode.h"

#include <string.h>

static const tpl_str *self_of(const tpl_call *c)
{
    return c->self.u.s;
}

static tn_status text_arg(tpl_env *e, tpl_value v, const char *what, const tpl_str **out)
{
    TN_TRY(tpl_str_arg(e, v, out));
    return *out ? TN_OK : tpl_fail(e, "%s() needs a str, not %s", what, tpl_type_name(v));
}

/* ---- searching ---- */

/* The part [start, end) of a text that the arguments 2 and 3 name, in bytes; false: start is behind
 * the end. */
static tn_status bounds(tpl_env *e, const tpl_call *c, size_t *begin, size_t *end, bool *valid)
{
    const tpl_str *s = self_of(c);
    const int64_t n = (int64_t)s->n_chars;
    int64_t from, to;
    TN_TRY(tpl_int_arg(e, c->p[1].kind == TPL_NONE ? (tpl_value){ 0 } : c->p[1], 0, &from));
    TN_TRY(tpl_int_arg(e, c->p[2].kind == TPL_NONE ? (tpl_value){ 0 } : c->p[2], n, &to));
    to = to > n ? n : to < 0 ? (to + n < 0 ? 0 : to + n) : to;
    from = from < 0 ? (from + n < 0 ? 0 : from + n) : from;
    *valid = from <= to;
    *begin = *valid ? tpl_bytes_of(s->data, s->n, (size_t)from) : 0;
    *end = *valid ? tpl_bytes_of(s->data, s->n, (size_t)to) : 0;
    return tpl_charge(e, s->n / 16);
}

static size_t find_last(const char *text, size_t begin, size_t end, const tpl_str *part)
{
    for (size_t at = end + 1 > part->n ? end + 1 - part->n : 0; at > begin; at--)
        if (memcmp(text + at - 1, part->data, part->n) == 0)
            return at - 1;
    return SIZE_MAX;
}

static tn_status find(tpl_env *e, const tpl_call *c, bool last, int64_t *out)
{
    const tpl_str *s = self_of(c), *part;
    size_t begin, end, at = SIZE_MAX;
    bool valid;
    TN_TRY(text_arg(e, c->p[0], "find", &part));
    TN_TRY(bounds(e, c, &begin, &end, &valid));
    if (valid && last && end - begin >= part->n)
        at = find_last(s->data, begin, end, part);
    else if (valid && !last)
        at = tpl_find_text(s->data, end, part, begin);
    *out = at == SIZE_MAX ? -1 : (int64_t)tpl_count_chars(s->data, at);
    return TN_OK;
}

static tn_status give_place(tpl_env *e, const tpl_call *c, bool last, bool must, tpl_value *out)
{
    int64_t at;
    TN_TRY(find(e, c, last, &at));
    *out = TPL_INT_VALUE(at);
    return must && at < 0 ? tpl_fail(e, "substring not found") : TN_OK;
}

static tn_status call_find(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return give_place(e, c, false, false, out);
}

static tn_status call_rfind(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return give_place(e, c, true, false, out);
}

static tn_status call_index(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return give_place(e, c, false, true, out);
}

static tn_status call_rindex(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return give_place(e, c, true, true, out);
}

static tn_status call_count(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s = self_of(c), *part;
    size_t at, end;
    bool valid;
    int64_t n = 0;
    TN_TRY(text_arg(e, c->p[0], "count", &part));
    TN_TRY(bounds(e, c, &at, &end, &valid));
    if (valid && part->n == 0)
        n = (int64_t)tpl_count_chars(s->data + at, end - at) + 1;
    else if (valid)
        while ((at = tpl_find_text(s->data, end, part, at)) != SIZE_MAX) {
            at += part->n;
            n++;
        }
    *out = TPL_INT_VALUE(n);
    return TN_OK;
}

static tn_status affix(tpl_env *e, const tpl_call *c, bool suffix, tpl_value *out)
{
    const tpl_str *s = self_of(c);
    const tpl_list one = { .item = c->p, .n = 1 },
                   *parts = c->p[0].kind == TPL_TUPLE ? c->p[0].u.list : &one;
    size_t begin, end;
    bool valid, found = false;
    TN_TRY(bounds(e, c, &begin, &end, &valid));
    for (size_t i = 0; i < parts->n && !found; i++) {
        const tpl_str *part;
        TN_TRY(text_arg(e, parts->item[i], suffix ? "endswith" : "startswith", &part));
        found = valid && end - begin >= part->n &&
                memcmp(s->data + (suffix ? end - part->n : begin), part->data, part->n) == 0;
    }
    *out = TPL_BOOL_VALUE(found);
    return TN_OK;
}

static tn_status call_startswith(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return affix(e, c, false, out);
}

static tn_status call_endswith(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return affix(e, c, true, out);
}

/* ---- splitting ---- */

static tn_status add_part(tpl_env *e, tpl_items *parts, const char *text, size_t n)
{
    tpl_value part;
    TN_TRY(tpl_str_borrow(e, text, n, &part));
    return tpl_items_add(e, parts, part);
}

static tn_status split_at(tpl_env *e, const tpl_str *s, const tpl_str *sep, int64_t max,
                          tpl_items *parts)
{
    size_t at = 0, found;
    while (max-- != 0 && (found = tpl_find_text(s->data, s->n, sep, at)) != SIZE_MAX) {
        TN_TRY(add_part(e, parts, s->data + at, found - at));
        at = found + sep->n;
    }
    return add_part(e, parts, s->data + at, s->n - at);
}

static tn_status split_spaces(tpl_env *e, const tpl_str *s, int64_t max, tpl_items *parts)
{
    size_t at = tpl_leading_space(s->data, s->n), bytes;
    while (at < s->n) {
        size_t end = at;
        if (max-- == 0) {
            const size_t n = s->n - at;
            return add_part(e, parts, s->data + at, n - tpl_trailing_space(s->data + at, n));
        }
        while (end < s->n && !tpl_is_space(tpl_char_at(s->data + end, &bytes)))
            end += bytes;
        TN_TRY(add_part(e, parts, s->data + at, end - at));
        at = end + tpl_leading_space(s->data + end, s->n - end);
    }
    return TN_OK;
}

static void reverse(tpl_items *items)
{
    for (size_t i = 0; i < items->n / 2; i++) {
        const tpl_value v = items->item[i];
        items->item[i] = items->item[items->n - 1 - i];
        items->item[items->n - 1 - i] = v;
    }
}

static tn_status rsplit_at(tpl_env *e, const tpl_str *s, const tpl_str *sep, int64_t max,
                           tpl_items *parts)
{
    size_t end = s->n;
    while (max-- != 0 && end >= sep->n) {
        const size_t found = find_last(s->data, 0, end, sep);
        if (found == SIZE_MAX)
            break;
        TN_TRY(add_part(e, parts, s->data + found + sep->n, end - found - sep->n));
        end = found;
    }
    TN_TRY(add_part(e, parts, s->data, end));
    reverse(parts);
    return TN_OK;
}

static tn_status split(tpl_env *e, const tpl_call *c, bool from_right, tpl_value *out)
{
    const tpl_str *s = self_of(c), *sep;
    int64_t max;
    tpl_items parts = { 0 };
    TN_TRY(tpl_str_arg(e, c->p[0], &sep));
    TN_TRY(tpl_int_arg(e, c->p[1], -1, &max));
    TN_TRY(tpl_charge(e, s->n / 16));
    if (sep && sep->n == 0)
        return tpl_fail(e, "empty separator");
    if (!sep && from_right && max >= 0)
        return tpl_unsupported(e, "rsplit() at white space with a maximum");
    if (!sep)
        TN_TRY(split_spaces(e, s, max, &parts));
    else
        TN_TRY(from_right ? rsplit_at(e, s, sep, max, &parts) : split_at(e, s, sep, max, &parts));
    return tpl_list_new(e, TPL_LIST, parts.item, parts.n, out);
}

static tn_status call_split(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return split(e, c, false, out);
}

static tn_status call_rsplit(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return split(e, c, true, out);
}

static tn_status call_splitlines(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s = self_of(c);
    const bool keep = tpl_truth(c->p[0]);
    tpl_items lines = { 0 };
    size_t begin = 0, bytes;
    TN_TRY(tpl_charge(e, s->n / 16));
    for (size_t at = 0; at < s->n;) {
        const uint32_t ch = tpl_char_at(s->data + at, &bytes);
        const size_t end = at;
        at += bytes;
        if (!tpl_is_line_break(ch))
            continue;
        if (ch == '\r' && at < s->n && s->data[at] == '\n')
            at++;
        TN_TRY(add_part(e, &lines, s->data + begin, (keep ? at : end) - begin));
        begin = at;
    }
    if (begin < s->n)
        TN_TRY(add_part(e, &lines, s->data + begin, s->n - begin));
    return tpl_list_new(e, TPL_LIST, lines.item, lines.n, out);
}

static tn_status partition(tpl_env *e, const tpl_call *c, bool last, tpl_value *out)
{
    const tpl_str *s = self_of(c), *sep;
    tpl_items parts = { 0 };
    TN_TRY(text_arg(e, c->p[0], "partition", &sep));
    if (sep->n == 0)
        return tpl_fail(e, "empty separator");
    size_t at = SIZE_MAX;
    if (!last)
        at = tpl_find_text(s->data, s->n, sep, 0);
    else if (s->n >= sep->n)
        at = find_last(s->data, 0, s->n, sep);
    const bool found = at != SIZE_MAX;
    if (!found)
        at = last ? 0 : s->n;
    const size_t behind = at + (found ? sep->n : 0);
    TN_TRY(add_part(e, &parts, s->data, at));
    TN_TRY(add_part(e, &parts, s->data + at, behind - at));
    TN_TRY(add_part(e, &parts, s->data + behind, s->n - behind));
    return tpl_list_new(e, TPL_TUPLE, parts.item, parts.n, out);
}

static tn_status call_partition(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return partition(e, c, false, out);
}

static tn_status call_rpartition(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return partition(e, c, true, out);
}

/* ---- questions ---- */

enum { DIGIT = 1, LOWER = 2, UPPER = 4, SPACE = 8 };

static int class_of(char c)
{
    if (c >= '0' && c <= '9')
        return DIGIT;
    if (c >= 'a' && c <= 'z')
        return LOWER;
    if (c >= 'A' && c <= 'Z')
        return UPPER;
    return tpl_is_space((unsigned char)c) ? SPACE : 0;
}

/* True when the text is not empty and all its characters are of these classes. */
static tn_status all_of(tpl_env *e, const tpl_call *c, int classes, tpl_value *out)
{
    const tpl_str *s = self_of(c);
    bool all = s->n > 0;
    if (s->n != s->n_chars)
        return tpl_unsupported(e, "asking for the kind of characters of other than ASCII text");
    for (size_t i = 0; i < s->n && all; i++)
        all = (class_of(s->data[i]) & classes) != 0;
    *out = TPL_BOOL_VALUE(all);
    return tpl_charge(e, s->n / 16);
}

static tn_status call_isdigit(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return all_of(e, c, DIGIT, out);
}

static tn_status call_isalpha(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return all_of(e, c, LOWER | UPPER, out);
}

static tn_status call_isalnum(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return all_of(e, c, LOWER | UPPER | DIGIT, out);
}

static tn_status call_isspace(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return all_of(e, c, SPACE, out);
}

static tn_status call_test(tpl_env *e, const tpl_call *c, const char *name, tpl_value *out)
{
    const tpl_str s = { .data = name, .n = strlen(name) };
    return tpl_call_row(e, tpl_find_test(&s), "test", c->self, c->args, out);
}

static tn_status call_isupper(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return call_test(e, c, "upper", out);
}

static tn_status call_islower(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return call_test(e, c, "lower", out);
}

static tn_status call_isascii(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    (void)e;
    *out = TPL_BOOL_VALUE(self_of(c)->n == self_of(c)->n_chars);
    return TN_OK;
}

const tpl_function tpl_str_predicates[] = {
    { "find", call_find, "/sub! start end" },
    { "rfind", call_rfind, "/sub! start end" },
    { "index", call_index, "/sub! start end" },
    { "rindex", call_rindex, "/sub! start end" },
    { "count", call_count, "/sub! start end" },
    { "startswith", call_startswith, "/prefix! start end" },
    { "endswith", call_endswith, "/suffix! start end" },
    { "split", call_split, "sep maxsplit" },
    { "rsplit", call_rsplit, "sep maxsplit" },
    { "splitlines", call_splitlines, "keepends" },
    { "partition", call_partition, "/sep!" },
    { "rpartition", call_rpartition, "/sep!" },
    { "isdigit", call_isdigit, "" },
    { "isdecimal", call_isdigit, "" },
    { "isnumeric", call_isdigit, "" },
    { "isalpha", call_isalpha, "" },
    { "isalnum", call_isalnum, "" },
    { "isspace", call_isspace, "" },
    { "isupper", call_isupper, "" },
    { "islower", call_islower, "" },
    { "isascii", call_isascii, "" },
    { "isidentifier", NULL, NULL },
    { "isprintable", NULL, NULL },
    { "istitle", NULL, NULL },
    { NULL, NULL, NULL },
};
