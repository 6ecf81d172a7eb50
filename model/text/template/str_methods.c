/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of str that make text. Positions and widths count characters. */
#include "model/text/template/function.h"
#include "model/text/template/unicode.h"

#include <string.h>

static const tpl_str *self_of(const tpl_call *c)
{
    return c->self.u.s;
}

static tn_status call_case(tpl_env *e, const tpl_call *c, bool upper, tpl_value *out)
{
    const tpl_str *s = self_of(c);
    tn_strbuf text = tpl_buffer(e);
    if (upper ? tpl_put_upper(s->data, s->n, &text) : tpl_put_lower(s->data, s->n, &text))
        return tpl_str_take(e, &text, out);
    tn_strbuf_deinit(&text);
    return tpl_unsupported(e, "the lower case of a text with a capital sigma");
}

static tn_status call_upper(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return call_case(e, c, true, out);
}

static tn_status call_lower(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return call_case(e, c, false, out);
}

static tn_status call_capitalize(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s = self_of(c);
    size_t first = 0;
    if (s->n && !tpl_title_is_upper(tpl_char_at(s->data, &first)))
        return tpl_unsupported(e, "the title case of this first character");
    tn_strbuf text = tpl_buffer(e);
    (void)tpl_put_upper(s->data, first, &text);
    if (tpl_put_lower(s->data + first, s->n - first, &text))
        return tpl_str_take(e, &text, out);
    tn_strbuf_deinit(&text);
    return tpl_unsupported(e, "the lower case of a text with a capital sigma");
}

static bool is_ascii(const tpl_str *s)
{
    return s->n == s->n_chars;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static tn_status call_title(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s = self_of(c);
    char *text;
    if (!is_ascii(s))
        return tpl_unsupported(e, "str.title() of other than ASCII text");
    TN_TRY(tpl_alloc(e, s->n, 1, &text));
    for (size_t i = 0; i < s->n; i++) {
        const bool inside = i > 0 && is_letter(s->data[i - 1]);
        const char ch = s->data[i];
        text[i] = !is_letter(ch) ? ch : (char)(inside ? ch | 0x20 : ch & ~0x20);
    }
    return tpl_str_borrow(e, text, s->n, out);
}

static tn_status call_swapcase(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s = self_of(c);
    char *text;
    if (!is_ascii(s))
        return tpl_unsupported(e, "str.swapcase() of other than ASCII text");
    TN_TRY(tpl_alloc(e, s->n, 1, &text));
    for (size_t i = 0; i < s->n; i++)
        text[i] = (char)(is_letter(s->data[i]) ? s->data[i] ^ 0x20 : s->data[i]);
    return tpl_str_borrow(e, text, s->n, out);
}

/* ---- strip ---- */

static bool is_stripped(const char *at, size_t bytes, uint32_t c, const tpl_str *chars)
{
    const tpl_str one = { .data = at, .n = bytes };
    return chars ? tpl_find_text(chars->data, chars->n, &one, 0) != SIZE_MAX : tpl_is_space(c);
}

static tn_status strip(tpl_env *e, const tpl_call *c, bool left, bool right, tpl_value *out)
{
    const tpl_str *s = self_of(c), *chars;
    size_t begin = 0, end = s->n, bytes;
    TN_TRY(tpl_str_arg(e, c->p[0], &chars));
    TN_TRY(tpl_charge(e, s->n / 16 + (chars ? s->n * chars->n / 16 : 0)));
    while (left && begin < end) {
        const uint32_t ch = tpl_char_at(s->data + begin, &bytes);
        if (!is_stripped(s->data + begin, bytes, ch, chars))
            break;
        begin += bytes;
    }
    while (right && end > begin) {
        size_t at = end - 1;
        while (((unsigned char)s->data[at] & 0xC0) == 0x80)
            at--;
        const uint32_t ch = tpl_char_at(s->data + at, &bytes);
        if (!is_stripped(s->data + at, bytes, ch, chars))
            break;
        end = at;
    }
    return tpl_str_borrow(e, s->data + begin, end - begin, out);
}

static tn_status call_strip(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return strip(e, c, true, true, out);
}

static tn_status call_lstrip(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return strip(e, c, true, false, out);
}

static tn_status call_rstrip(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return strip(e, c, false, true, out);
}

static tn_status call_removeprefix(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s = self_of(c), *part;
    TN_TRY(tpl_str_arg(e, c->p[0], &part));
    if (!part)
        return tpl_fail(e, "removeprefix() needs a str");
    const size_t n = s->n >= part->n && memcmp(s->data, part->data, part->n) == 0 ? part->n : 0;
    return tpl_str_borrow(e, s->data + n, s->n - n, out);
}

static tn_status call_removesuffix(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s = self_of(c), *part;
    TN_TRY(tpl_str_arg(e, c->p[0], &part));
    if (!part)
        return tpl_fail(e, "removesuffix() needs a str");
    const size_t n =
        s->n >= part->n && memcmp(s->data + s->n - part->n, part->data, part->n) == 0 ? part->n : 0;
    return tpl_str_borrow(e, s->data, s->n - n, out);
}

/* ---- replace, join, padding ---- */

static tn_status call_replace(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s = self_of(c), *from, *to;
    int64_t left;
    TN_TRY(tpl_str_arg(e, c->p[0], &from));
    TN_TRY(tpl_str_arg(e, c->p[1], &to));
    TN_TRY(tpl_int_arg(e, c->p[2], -1, &left));
    if (!from || !to)
        return tpl_fail(e, "replace() needs two texts");
    tn_strbuf text = tpl_buffer(e);
    size_t at = 0;
    for (; left != 0 && at <= s->n; left--) {
        const size_t found = tpl_find_text(s->data, s->n, from, at);
        if (found == SIZE_MAX)
            break;
        tn_strbuf_append(&text, s->data + at, found - at);
        tn_strbuf_append(&text, to->data, to->n);
        at = found + from->n;
        if (from->n == 0) { /* between all characters */
            const size_t bytes = at < s->n ? tpl_char_bytes(s->data[at]) : 1;
            tn_strbuf_append(&text, s->data + at, at < s->n ? bytes : 0);
            at += bytes;
        }
    }
    if (at < s->n)
        tn_strbuf_append(&text, s->data + at, s->n - at);
    return tpl_str_take(e, &text, out);
}

static tn_status call_join(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_list items;
    TN_TRY(tpl_iterate(e, c->p[0], &items));
    tn_strbuf text = tpl_buffer(e);
    tn_status status = TN_OK;
    for (size_t i = 0; i < items.n && !status; i++) {
        if (i)
            tn_strbuf_append(&text, self_of(c)->data, self_of(c)->n);
        if (items.item[i].kind == TPL_STR)
            status = tpl_put_str(e, items.item[i], &text);
        else
            status = tpl_fail(e, "sequence item %zu: expected str instance, %s found", i,
                              tpl_type_name(items.item[i]));
    }
    if (!status)
        return tpl_str_take(e, &text, out);
    tn_strbuf_deinit(&text);
    return status;
}

enum { MAX_WIDTH = 1 << 20 };

static tn_status pad(tpl_env *e, const tpl_str *s, size_t left, size_t right, const tpl_str *fill,
                     tpl_value *out)
{
    tn_strbuf text = tpl_buffer(e);
    TN_TRY(tpl_charge(e, (left + right) / 16));
    for (; left > 0; left--)
        tn_strbuf_append(&text, fill->data, fill->n);
    tn_strbuf_append(&text, s->data, s->n);
    for (; right > 0; right--)
        tn_strbuf_append(&text, fill->data, fill->n);
    return tpl_str_take(e, &text, out);
}

/* How many fill characters are missing, and which. */
static tn_status padding(tpl_env *e, const tpl_call *c, size_t *missing, const tpl_str **fill)
{
    static const tpl_str blank = { " ", 1, 1, false };
    int64_t width;
    TN_TRY(tpl_int_arg(e, c->p[0], 0, &width));
    TN_TRY(tpl_str_arg(e, c->p[1], fill));
    if (!*fill)
        *fill = &blank;
    if ((*fill)->n_chars != 1)
        return tpl_fail(e, "The fill character must be exactly one character long");
    if (width > MAX_WIDTH)
        return tpl_fail(e, "a width of %lld; at most %d is allowed", (long long)width, MAX_WIDTH);
    const size_t n = self_of(c)->n_chars;
    *missing = width > 0 && (size_t)width > n ? (size_t)width - n : 0;
    return TN_OK;
}

static tn_status call_ljust(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    size_t n;
    const tpl_str *fill;
    TN_TRY(padding(e, c, &n, &fill));
    return pad(e, self_of(c), 0, n, fill, out);
}

static tn_status call_rjust(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    size_t n;
    const tpl_str *fill;
    TN_TRY(padding(e, c, &n, &fill));
    return pad(e, self_of(c), n, 0, fill, out);
}

static tn_status call_center(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    size_t n;
    const tpl_str *fill;
    TN_TRY(padding(e, c, &n, &fill));
    /* CPython's str.center: the odd one goes left when width is odd as well. */
    const size_t left = n / 2 + (n & (n + self_of(c)->n_chars) & 1);
    return pad(e, self_of(c), left, n - left, fill, out);
}

static tn_status call_zfill(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    static const tpl_str zero = { "0", 1, 1, false };
    size_t n;
    const tpl_str *fill, *s = self_of(c);
    TN_TRY(padding(e, c, &n, &fill));
    if (n == 0 || s->n == 0 || (*s->data != '-' && *s->data != '+'))
        return pad(e, s, n, 0, &zero, out);
    tpl_value rest;
    TN_TRY(tpl_str_borrow(e, s->data + 1, s->n - 1, &rest));
    TN_TRY(pad(e, rest.u.s, n, 0, &zero, &rest));
    tn_strbuf text = tpl_buffer(e);
    tn_strbuf_append(&text, s->data, 1);
    tn_strbuf_append(&text, rest.u.s->data, rest.u.s->n);
    return tpl_str_take(e, &text, out);
}

static tn_status call_format(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return tpl_format_braces(e, self_of(c), c->args, out);
}

const tpl_function tpl_str_methods[] = {
    { "upper", call_upper, "" },
    { "lower", call_lower, "" },
    { "capitalize", call_capitalize, "" },
    { "title", call_title, "" },
    { "swapcase", call_swapcase, "" },
    { "strip", call_strip, "/chars" },
    { "lstrip", call_lstrip, "/chars" },
    { "rstrip", call_rstrip, "/chars" },
    { "removeprefix", call_removeprefix, "/prefix!" },
    { "removesuffix", call_removesuffix, "/suffix!" },
    { "replace", call_replace, "/old! new! count" },
    { "join", call_join, "/iterable!" },
    { "ljust", call_ljust, "/width! fillchar" },
    { "rjust", call_rjust, "/width! fillchar" },
    { "center", call_center, "/width! fillchar" },
    { "zfill", call_zfill, "/width!" },
    { "format", call_format, NULL },
    { "casefold", NULL, NULL },
    { "encode", NULL, NULL },
    { "expandtabs", NULL, NULL },
    { "format_map", NULL, NULL },
    { "maketrans", NULL, NULL },
    { "translate", NULL, NULL },
    { NULL, NULL, NULL },
};
