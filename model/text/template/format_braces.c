/* SPDX-License-Identifier: Apache-2.0 */
/* "{} of {name:>8}".format(...): Python's str.format, with attributes by the rules of templates. */
#include "model/text/template/format.h"
#include "model/text/template/function.h"
#include "model/text/template/unicode.h"

#include <string.h>

typedef struct state {
    tpl_env *e;
    const tpl_args *args;
    size_t n_auto;
    bool automatic, manual;
    tn_strbuf *out;
} state;

/* A part of the format. */
typedef struct part {
    const char *data;
    size_t n;
} part;

static part cut(part *from, const char *ends)
{
    part head = { from->data, 0 };
    while (head.n < from->n && !memchr(ends, from->data[head.n], strlen(ends)))
        head.n++;
    from->data += head.n;
    from->n -= head.n;
    return head;
}

/* A number of digits only; -1: it is none. */
static tn_status to_index(tpl_env *e, part p, int64_t *out)
{
    *out = p.n > 0 ? 0 : -1;
    for (size_t i = 0; i < p.n; i++) {
        if (p.data[i] < '0' || p.data[i] > '9') {
            *out = -1;
            return TN_OK;
        }
        if (*out > INT32_MAX)
            return tpl_fail(e, "Too many decimal digits in format string");
        *out = *out * 10 + (p.data[i] - '0');
    }
    return TN_OK;
}

static tn_status find_argument(state *s, part name, tpl_value *out)
{
    int64_t index;
    TN_TRY(to_index(s->e, name, &index));
    s->automatic = s->automatic || name.n == 0;
    s->manual = s->manual || index >= 0;
    if (s->automatic && s->manual)
        return tpl_fail(
            s->e, "cannot switch between manual field specification and automatic field numbering");
    if (name.n == 0)
        index = (int64_t)s->n_auto++;
    if (index >= 0) {
        if ((uint64_t)index >= s->args->n)
            return tpl_fail(s->e, "format(): the argument of index %lld is not there",
                            (long long)index);
        *out = s->args->item[index];
        return TN_OK;
    }
    for (size_t i = 0; i < s->args->n_keys; i++) {
        const tpl_str *key = s->args->key[i].u.s;
        if (key->n == name.n && memcmp(key->data, name.data, name.n) == 0) {
            *out = s->args->value[i];
            return TN_OK;
        }
    }
    return tpl_fail(s->e, "format(): the argument '%.*s' is not there",
                    (int)(name.n < 60 ? name.n : 60), name.data);
}

/* ".a[b]..." of v */
static tn_status follow(state *s, part path, tpl_value *v)
{
    while (path.n > 0) {
        const bool attribute = path.data[0] == '.';
        tpl_value key;
        int64_t index;
        if (!attribute && path.data[0] != '[')
            return tpl_fail(s->e, "Only '.' or '[' may follow ']' in format field specifier");
        path.data++;
        path.n--;
        const part name = cut(&path, attribute ? ".[" : "]");
        if (name.n == 0 || (!attribute && path.n == 0))
            return tpl_fail(s->e, "Empty attribute in format string");
        if (!attribute) {
            path.data++;
            path.n--;
        }
        TN_TRY(tpl_str_borrow(s->e, name.data, name.n, &key));
        TN_TRY(to_index(s->e, name, &index));
        if (attribute)
            TN_TRY(tpl_get_attr(s->e, *v, key.u.s, v));
        else
            TN_TRY(tpl_get_item(s->e, *v, index >= 0 ? TPL_INT_VALUE(index) : key, v));
    }
    return TN_OK;
}

/* ---- the specification behind ':' ---- */

static tn_status read_number(state *s, part *p, int32_t max, int32_t *out)
{
    const char *begin = p->data;
    while (p->n > 0 && *p->data >= '0' && *p->data <= '9') {
        p->data++;
        p->n--;
    }
    int64_t n;
    TN_TRY(to_index(s->e, (part){ begin, (size_t)(p->data - begin) }, &n));
    if (n > max)
        return tpl_fail(s->e, "a width or precision of %lld in a format; at most %d is allowed",
                        (long long)n, (int)max);
    *out = (int32_t)n;
    return TN_OK;
}

static bool take(part *p, const char *chars, char *out)
{
    if (p->n == 0 || !memchr(chars, *p->data, strlen(chars)))
        return false;
    *out = *p->data;
    p->data++;
    p->n--;
    return true;
}

static void take_fill(part *p, tpl_spec *spec)
{
    const size_t n = p->n ? tpl_char_bytes(*p->data) : 0;
    if (n && p->n > n && strchr("<>=^", p->data[n])) {
        spec->fill = p->data;
        spec->n_fill = n;
        p->data += n;
        p->n -= n;
    }
    (void)take(p, "<>=^", &spec->align);
}

static tn_status read_spec(state *s, part p, tpl_spec *spec)
{
    char c;
    *spec = (tpl_spec){ .fill = " ", .n_fill = 1, .width = -1, .precision = -1 };
    take_fill(&p, spec);
    if (take(&p, "+- ", &c))
        spec->sign = (char)(c == '-' ? 0 : c);
    spec->alternate = take(&p, "#", &c);
    if (p.n > 1 && *p.data == '0' && spec->align == 0 && take(&p, "0", &c)) {
        spec->fill = "0";
        spec->align = '0'; /* '=' for numbers, '<' for texts */
    }
    TN_TRY(read_number(s, &p, TPL_MAX_WIDTH, &spec->width));
    (void)take(&p, ",_", &spec->grouping);
    if (take(&p, ".", &c)) {
        TN_TRY(read_number(s, &p, TPL_MAX_PRECISION, &spec->precision));
        if (spec->precision < 0)
            return tpl_fail(s->e, "Format specifier missing precision");
    }
    (void)take(&p, "sdboxXeEfFgG%", &spec->type);
    return p.n == 0 ? TN_OK : tpl_unsupported(s->e, "this format specification");
}

static tn_status put_text(state *s, tpl_spec *spec, const tpl_str *text)
{
    if (spec->sign || spec->alternate || spec->grouping || spec->align == '=' ||
        (spec->type && spec->type != 's'))
        return tpl_fail(s->e, "a format specification that is not for texts");
    if (!spec->align || spec->align == '0')
        spec->align = '<';
    return tpl_format_text(s->e, spec, text->data, text->n, s->out);
}

static tn_status put_number(state *s, tpl_spec *spec, tpl_value v)
{
    if (!spec->align || spec->align == '0')
        spec->align = spec->align ? '=' : '>';
    if (spec->type == 's')
        return tpl_fail(s->e, "Unknown format code 's' for object of type '%s'", tpl_type_name(v));
    const bool whole = !spec->type || strchr("dboxX", spec->type);
    if (whole && v.kind == TPL_FLOAT) {
        if (spec->type)
            return tpl_fail(s->e, "Unknown format code '%c' for object of type 'float'",
                            spec->type);
        return tpl_unsupported(s->e, "the format of a float without a type; use f, e or g");
    }
    if (!whole)
        return tpl_format_float(s->e, spec, tpl_as_double(v), s->out);
    if (spec->precision >= 0)
        return tpl_fail(s->e, "Precision not allowed in integer format specifier");
    if (spec->grouping == ',' && spec->type && spec->type != 'd')
        return tpl_fail(s->e, "Cannot specify ',' with '%c'.", spec->type);
    return tpl_format_int(s->e, spec, v.u.i, s->out);
}

static tn_status put_value(state *s, tpl_value v, part spec_text)
{
    tpl_spec spec;
    if (spec_text.n == 0)
        return tpl_put_str(s->e, v, s->out);
    if (memchr(spec_text.data, '{', spec_text.n))
        return tpl_unsupported(s->e, "a format specification with a field in it");
    TN_TRY(read_spec(s, spec_text, &spec));
    if (tpl_is_number(v))
        return put_number(s, &spec, v);
    if (tpl_is_markup(v))
        return tpl_unsupported(s->e, "the format of a text that went through |safe or |escape");
    if (v.kind == TPL_STR)
        return put_text(s, &spec, v.u.s);
    return tpl_fail(s->e, "unsupported format string passed to %s.__format__", tpl_type_name(v));
}

/* ---- fields ---- */

/* What stands between { and }. */
static tn_status put_field(state *s, part field)
{
    part rest = field, spec = { NULL, 0 };
    tpl_value v;
    char conversion = 's';
    part path = cut(&rest, "!:");
    if (memchr(path.data, '{', path.n))
        return tpl_fail(s->e, "unexpected '{' in field name");
    const bool converts = rest.n > 0 && *rest.data == '!';
    if (converts) {
        if (rest.n < 2 || (rest.n > 2 && rest.data[2] != ':'))
            return tpl_fail(s->e, "expected ':' after conversion specifier");
        conversion = rest.data[1];
        rest.data += 2;
        rest.n -= 2;
    }
    if (rest.n > 0)
        spec = (part){ rest.data + 1, rest.n - 1 };
    part name = cut(&path, ".[");
    TN_TRY(find_argument(s, name, &v));
    TN_TRY(follow(s, path, &v));
    if (!converts)
        return put_value(s, v, spec);
    if (conversion != 's' && conversion != 'r')
        return tpl_unsupported(s->e, "the conversion !%c",
                               (unsigned char)conversion < 0x80 ? conversion : '?');
    tn_strbuf text = tpl_buffer(s->e);
    tn_status status =
        conversion == 's' ? tpl_put_str(s->e, v, &text) : tpl_put_repr(s->e, v, &text);
    if (status)
        tn_strbuf_deinit(&text);
    else
        status = tpl_str_take(s->e, &text, &v);
    return status ? status : put_value(s, v, spec);
}

/* The end of the field that begins at `at`; fields nest in specifications. */
static size_t field_end(const tpl_str *format, size_t at)
{
    size_t depth = 1;
    for (; at < format->n; at++) {
        depth += format->data[at] == '{';
        depth -= format->data[at] == '}';
        if (depth == 0)
            return at;
    }
    return SIZE_MAX;
}

static tn_status put_all(state *s, const tpl_str *format)
{
    for (size_t at = 0; at < format->n;) {
        const char c = format->data[at];
        const bool doubled = at + 1 < format->n && format->data[at + 1] == c;
        if ((c != '{' && c != '}') || doubled) {
            tn_strbuf_append(s->out, &c, 1);
            at += c == '{' || c == '}' ? 2 : 1;
            continue;
        }
        const size_t end = c == '{' ? field_end(format, at + 1) : SIZE_MAX;
        if (end == SIZE_MAX)
            return tpl_fail(s->e, c == '{' ? "expected '}' before end of string"
                                           : "Single '}' encountered in format string");
        TN_TRY(put_field(s, (part){ format->data + at + 1, end - at - 1 }));
        at = end + 1;
    }
    return tpl_charge(s->e, format->n / 16);
}

tn_status tpl_format_braces(tpl_env *e, const tpl_str *format, const tpl_args *args, tpl_value *out)
{
    tn_strbuf text = tpl_buffer(e);
    state s = { .e = e, .args = args, .out = &text };
    tn_status status = put_all(&s, format);
    if (!status)
        return tpl_str_take(e, &text, out);
    tn_strbuf_deinit(&text);
    return status;
}
