/* SPDX-License-Identifier: Apache-2.0 */
/* Filters that make text of text. */
#include "model/text/template/function.h"
#include "model/text/template/unicode.h"

#include <string.h>

static tn_status unfinished(tn_strbuf *text, tn_status status)
{
    tn_strbuf_deinit(text);
    return status;
}

/* ---- those that are methods of str ---- */

static tn_status by_method(tpl_env *e, const tpl_call *c, const char *name, tpl_value *out)
{
    const tpl_str *self, row = { .data = name, .n = strlen(name) };
    tpl_call call = *c;
    TN_TRY(tpl_self_text(e, c, &self));
    call.self = (tpl_value){ .kind = TPL_STR, .u.s = self };
    return tpl_find_row(tpl_str_methods, &row)->run(e, &call, out);
}

static tn_status filter_upper(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return by_method(e, c, "upper", out);
}

static tn_status filter_lower(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return by_method(e, c, "lower", out);
}

static tn_status filter_capitalize(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return by_method(e, c, "capitalize", out);
}

static tn_status filter_trim(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    return by_method(e, c, "strip", out);
}

static tn_status filter_center(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_call call = *c;
    if (call.p[0].kind == TPL_MISSING)
        call.p[0] = TPL_INT_VALUE(80);
    return by_method(e, &call, "center", out);
}

static tn_status filter_replace(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    tpl_call call = *c;
    for (int i = 0; i < 2; i++) {
        const tpl_str *s;
        TN_TRY(tpl_to_str(e, c->p[i], &s));
        call.p[i] = (tpl_value){ .kind = TPL_STR, .u.s = s };
    }
    if (call.p[2].kind == TPL_NONE)
        call.p[2] = (tpl_value){ 0 };
    return by_method(e, &call, "replace", out);
}

/* ---- words ---- */

static bool begins_word(uint32_t c)
{
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || tpl_is_space(c);
}

static tn_status filter_title(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s;
    TN_TRY(tpl_self_text(e, c, &s));
    TN_TRY(tpl_charge(e, s->n / 16));
    tn_strbuf text = tpl_buffer(e);
    for (size_t at = 0; at < s->n;) {
        size_t bytes, end;
        if (begins_word(tpl_char_at(s->data + at, &bytes))) {
            tn_strbuf_append(&text, s->data + at, bytes);
            at += bytes;
            continue;
        }
        (void)tpl_put_upper(s->data + at, bytes, &text);
        at += bytes;
        for (end = at; end < s->n && !begins_word(tpl_char_at(s->data + end, &bytes)); end += bytes)
            ;
        if (!tpl_put_lower(s->data + at, end - at, &text))
            return unfinished(&text,
                              tpl_unsupported(e, "the lower case of a text with a capital sigma"));
        at = end;
    }
    return tpl_str_take(e, &text, out);
}

static bool in_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static tn_status filter_wordcount(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s;
    int64_t n = 0;
    TN_TRY(tpl_self_text(e, c, &s));
    TN_TRY(tpl_charge(e, s->n / 16));
    if (s->n != s->n_chars)
        return tpl_unsupported(e, "the filter wordcount on other than ASCII text");
    for (size_t i = 0; i < s->n; i++)
        n += in_word(s->data[i]) && (i == 0 || !in_word(s->data[i - 1]));
    *out = TPL_INT_VALUE(n);
    return TN_OK;
}

/* Everything before the last blank of text[0, n). */
static size_t before_last_blank(const char *text, size_t n)
{
    for (size_t i = n; i > 0; i--)
        if (text[i - 1] == ' ')
            return i - 1;
    return n;
}

static tn_status filter_truncate(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    static const tpl_str dots = { "...", 3, 3, false };
    const tpl_str *s, *end;
    int64_t length, leeway;
    if (c->self.kind != TPL_STR) /* Python gives short lists as they are */
        return tpl_unsupported(e, "truncate of a value of type %s", tpl_type_name(c->self));
    s = c->self.u.s;
    TN_TRY(tpl_str_arg(e, c->p[2], &end));
    TN_TRY(tpl_int_arg(e, c->p[0], 255, &length));
    TN_TRY(tpl_int_arg(e, c->p[3].kind == TPL_NONE ? (tpl_value){ 0 } : c->p[3], 5, &leeway));
    if (c->p[2].kind == TPL_NONE)
        return tpl_fail(e, "truncate needs a text for end, not None");
    if (!end)
        end = &dots;
    if (length < (int64_t)end->n_chars || leeway < 0)
        return tpl_fail(e, "truncate: expected length >= %zu and leeway >= 0", end->n_chars);
    if (leeway >= INT64_MAX - length || (int64_t)s->n_chars <= length + leeway) {
        *out = c->self;
        return TN_OK;
    }
    size_t n = tpl_bytes_of(s->data, s->n, (size_t)length - end->n_chars);
    if (!tpl_truth(c->p[1]))
        n = before_last_blank(s->data, n);
    tn_strbuf text = tpl_buffer(e);
    tn_strbuf_append(&text, s->data, n);
    tn_strbuf_append(&text, end->data, end->n);
    return tpl_str_take(e, &text, out);
}

/* ---- lines ---- */

/* The white space of indent: a number of blanks, or a text. */
static tn_status indention(tpl_env *e, tpl_value width, tn_strbuf *out)
{
    enum { MAX_WIDTH = 1 << 16 };
    int64_t n;
    if (width.kind == TPL_STR) {
        tn_strbuf_append(out, width.u.s->data, width.u.s->n);
        return TN_OK;
    }
    TN_TRY(tpl_int_arg(e, width, 4, &n));
    if (n > MAX_WIDTH)
        return tpl_fail(e, "indent: a width of %lld; at most %d is allowed", (long long)n,
                        MAX_WIDTH);
    for (; n > 0; n--)
        tn_strbuf_append(out, " ", 1);
    return TN_OK;
}

/* The end of the line that begins at `at`; *next is the begin of the one behind it. */
static size_t line_end(const tpl_str *s, size_t at, size_t *next)
{
    size_t bytes;
    for (; at < s->n; at += bytes) {
        if (!tpl_is_line_break(tpl_char_at(s->data + at, &bytes)))
            continue;
        *next = at + bytes;
        if (s->data[at] == '\r' && (*next == s->n || s->data[*next] == '\n'))
            (*next)++;
        return at;
    }
    *next = s->n + 1; /* Jinja2 adds a newline at the end */
    return s->n;
}

static void put_indented(const tpl_str *s, const tpl_call *c, const tn_strbuf *indent,
                         tn_strbuf *text)
{
    const bool first = tpl_truth(c->p[1]), blank = tpl_truth(c->p[2]);
    size_t next;
    for (size_t at = 0; at <= s->n; at = next) {
        const size_t end = line_end(s, at, &next);
        if (at > 0)
            tn_strbuf_append(text, "\n", 1);
        if (at == 0 ? first : blank || end > at)
            tn_strbuf_append(text, tn_strbuf_text(indent), indent->len);
        tn_strbuf_append(text, s->data + at, end - at);
    }
}

static tn_status filter_indent(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s;
    TN_TRY(tpl_str_arg(e, c->self, &s));
    if (!s)
        return tpl_fail(e, "indent needs a text, not None");
    TN_TRY(tpl_charge(e, s->n / 4));
    tn_strbuf indent = tpl_buffer(e), text = tpl_buffer(e);
    tn_status status = indention(e, c->p[0], &indent);
    if (!status) {
        put_indented(s, c, &indent, &text);
        text.failed = text.failed || indent.failed;
    }
    tn_strbuf_deinit(&indent);
    return status ? unfinished(&text, status) : tpl_str_take(e, &text, out);
}

/* ---- markup ---- */

static tn_status mark(tpl_env *e, const tpl_str *s, tpl_value *out)
{
    tpl_str *copy;
    TN_TRY(tpl_alloc(e, 1, sizeof *copy, &copy));
    *copy = *s;
    copy->markup = true;
    *out = (tpl_value){ .kind = TPL_STR, .u.s = copy };
    return TN_OK;
}

static tn_status filter_safe(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s;
    TN_TRY(tpl_self_text(e, c, &s));
    return mark(e, s, out);
}

static tn_status filter_forceescape(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s;
    tn_strbuf text = tpl_buffer(e);
    TN_TRY(tpl_self_text(e, c, &s));
    TN_TRY(tpl_charge(e, s->n / 8));
    for (size_t i = 0; i < s->n; i++) {
        static const char from[] = "&><'\"";
        static const char *const to[] = { "&amp;", "&gt;", "&lt;", "&#39;", "&#34;" };
        const char *at = memchr(from, s->data[i], sizeof from - 1);
        if (at)
            tn_strbuf_puts(&text, to[at - from]);
        else
            tn_strbuf_append(&text, &s->data[i], 1);
    }
    TN_TRY(tpl_str_take(e, &text, out));
    return mark(e, out->u.s, out);
}

static tn_status filter_escape(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    if (!tpl_is_markup(c->self))
        return filter_forceescape(e, c, out);
    *out = c->self;
    return TN_OK;
}

/* The text outside of tags and comments. */
static void put_untagged(const tpl_str *s, tn_strbuf *out)
{
    static const tpl_str comment_end = { "-->", 3, 3, false }, tag_end = { ">", 1, 1, false };
    size_t at = 0;
    while (at < s->n) {
        const char *open = memchr(s->data + at, '<', s->n - at);
        if (!open)
            break;
        const size_t begin = (size_t)(open - s->data);
        const bool comment = s->n - begin >= 4 && memcmp(open, "<!--", 4) == 0;
        const size_t end = comment ? tpl_find_text(s->data, s->n, &comment_end, begin + 4)
                                   : tpl_find_text(s->data, s->n, &tag_end, begin);
        if (end == SIZE_MAX)
            break;
        tn_strbuf_append(out, s->data + at, begin - at);
        at = end + (comment ? 3 : 1);
    }
    tn_strbuf_append(out, s->data + at, s->n - at);
}

static tn_status filter_striptags(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s;
    TN_TRY(tpl_self_text(e, c, &s));
    TN_TRY(tpl_charge(e, s->n / 4));
    if (s->n && memchr(s->data, '&', s->n))
        return tpl_unsupported(e, "the filter striptags on a text with an &");
    tn_strbuf bare = tpl_buffer(e), text = tpl_buffer(e);
    put_untagged(s, &bare);
    const char *data = tn_strbuf_text(&bare);
    size_t at = tpl_leading_space(data, bare.len), bytes;
    while (at < bare.len) {
        size_t end = at;
        while (end < bare.len && !tpl_is_space(tpl_char_at(data + end, &bytes)))
            end += bytes;
        if (text.len)
            tn_strbuf_append(&text, " ", 1);
        tn_strbuf_append(&text, data + at, end - at);
        at = end + tpl_leading_space(data + end, bare.len - end);
    }
    text.failed = text.failed || bare.failed;
    tn_strbuf_deinit(&bare);
    return tpl_str_take(e, &text, out);
}

static tn_status filter_string(tpl_env *e, const tpl_call *c, tpl_value *out)
{
    const tpl_str *s;
    TN_TRY(tpl_self_text(e, c, &s));
    *out = (tpl_value){ .kind = TPL_STR, .u.s = s };
    return TN_OK;
}

const tpl_function tpl_text_filters[] = {
    { "upper", filter_upper, "" },
    { "lower", filter_lower, "" },
    { "capitalize", filter_capitalize, "" },
    { "title", filter_title, "" },
    { "trim", filter_trim, "chars" },
    { "center", filter_center, "width" },
    { "replace", filter_replace, "old! new! count" },
    { "wordcount", filter_wordcount, "" },
    { "truncate", filter_truncate, "length killwords end leeway" },
    { "indent", filter_indent, "width first blank" },
    { "safe", filter_safe, "" },
    { "e", filter_escape, "" },
    { "escape", filter_escape, "" },
    { "forceescape", filter_forceescape, "" },
    { "striptags", filter_striptags, "" },
    { "string", filter_string, "" },
    { "urlize", NULL, NULL },
    { "wordwrap", NULL, NULL },
    { "xmlattr", NULL, NULL },
    { NULL, NULL, NULL },
};
