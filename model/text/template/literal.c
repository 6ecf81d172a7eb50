/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/template/literal.h"

#include "model/text/template/unicode.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { MAX_NUMBER_CHARS = 400 };

/* ---- strings ---- */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 99;
}

/* Up to max digits of base at text[*at]; exactly max when base is 16. */
static tn_status read_code(tpl_env *e, const char *text, size_t n, size_t *at, int base, int max,
                           tn_strbuf *out)
{
    uint32_t code = 0;
    int count = 0;
    for (; count < max && *at < n && digit_value(text[*at]) < base; count++)
        code = code * (uint32_t)base + (uint32_t)digit_value(text[(*at)++]);
    if (base == 16 && count < max)
        return tpl_fail(e, "a \\x, \\u or \\U escape has too few digits, %d are needed", max);
    if (code > 0x10FFFF)
        return tpl_fail(e, "illegal Unicode character in an escape");
    if (code >= 0xD800 && code < 0xE000)
        return tpl_unsupported(e, "a surrogate in an escape");
    tpl_put_char(code, out);
    return TN_OK;
}

/* text[*at] is what follows the backslash. Python leaves a backslash before a character that makes
 * no escape. */
static tn_status read_escape(tpl_env *e, const char *text, size_t n, size_t *at, tn_strbuf *out)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char c = text[*at];
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple) {
        tn_strbuf_append(out, &to[simple - from], 1);
        (*at)++;
        return TN_OK;
    }
    if (c >= '0' && c <= '7')
        return read_code(e, text, n, at, 8, 3, out);
    if ((unsigned char)c >= 0x80 || c == 'N')
        return tpl_unsupported(e, "the escape of a backslash before '%c'", c == 'N' ? c : '?');
    (*at)++;
    if (c == 'x' || c == 'u' || c == 'U')
        return read_code(e, text, n, at, 16, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
    if (c == '\n')
        return TN_OK;
    tn_strbuf_append(out, "\\", 1);
    tn_strbuf_append(out, &c, 1);
    return TN_OK;
}

tn_status tpl_read_string(tpl_env *e, const char *text, size_t n, tpl_value *out)
{
    if (!memchr(text, '\\', n))
        return tpl_str_borrow(e, text, n, out);
    tn_strbuf b = TN_STRBUF(n + 16);
    tn_status status = TN_OK;
    for (size_t at = 0; at < n && !status;) {
        if (text[at] == '\\' && at + 1 < n) {
            at++;
            status = read_escape(e, text, n, &at, &b);
        } else {
            tn_strbuf_append(&b, &text[at++], 1);
        }
    }
    if (!status)
        return tpl_str_take(e, &b, out);
    tn_strbuf_deinit(&b);
    return status;
}

/* ---- number literals ---- */

/* The end of digits of base with single underscores between them. */
static size_t digits_end(const char *text, size_t n, size_t at, int base)
{
    while (at < n && (digit_value(text[at]) < base ||
                      (text[at] == '_' && at + 1 < n && digit_value(text[at + 1]) < base)))
        at++;
    return at;
}

static tn_status copy_number(tpl_env *e, const char *text, size_t n,
                             char number[MAX_NUMBER_CHARS + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '_')
            continue;
        if (count == MAX_NUMBER_CHARS)
            return tpl_fail(e, "a number with over %d digits", MAX_NUMBER_CHARS);
        number[count++] = text[i];
    }
    number[count] = '\0';
    return TN_OK;
}

static tn_status to_int(tpl_env *e, const char *digits, int base, bool negative, int64_t *out)
{
    uint64_t value = 0;
    for (; *digits; digits++) {
        const uint64_t digit = (uint64_t)digit_value(*digits);
        if (value > (UINT64_MAX - digit) / (uint64_t)base)
            return tpl_unsupported(e, "an integer of more than 64 bits");
        value = value * (uint64_t)base + digit;
    }
    if (value > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return tpl_unsupported(e, "an integer of more than 64 bits");
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return TN_OK;
}

static int base_of_prefix(const char *text, size_t n)
{
    if (n < 2 || text[0] != '0')
        return 0;
    const char c = (char)(text[1] | 0x20);
    return c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
}

/* The end of the fraction and exponent behind the digits that end at `at`, or `at` when there are
 * none. */
static size_t fraction_end(const char *text, size_t n, size_t at)
{
    size_t end = at;
    if (end + 1 < n && text[end] == '.' && isdigit((unsigned char)text[end + 1]))
        end = digits_end(text, n, end + 1, 10);
    size_t exponent = end;
    if (exponent < n && (text[exponent] | 0x20) == 'e') {
        exponent++;
        if (exponent < n && (text[exponent] == '+' || text[exponent] == '-'))
            exponent++;
        if (exponent < n && isdigit((unsigned char)text[exponent]))
            end = digits_end(text, n, exponent, 10);
    }
    return end;
}

tn_status tpl_read_number(tpl_env *e, const char *text, size_t n, size_t at, size_t *out_n,
                          tpl_value *out)
{
    char number[MAX_NUMBER_CHARS + 1];
    int64_t value;
    const int base = base_of_prefix(text + at, n - at);
    if (base && digits_end(text, n, at + 2, base) > at + 2) {
        const size_t end = digits_end(text, n, at + 2, base);
        TN_TRY(copy_number(e, text + at + 2, end - at - 2, number));
        TN_TRY(to_int(e, number, base, false, &value));
        *out_n = end - at;
        *out = TPL_INT_VALUE(value);
        return TN_OK;
    }
    size_t end = digits_end(text, n, at, 10);
    const size_t real_end = at > 0 && text[at - 1] == '.' ? end : fraction_end(text, n, end);
    if (real_end > end) {
        TN_TRY(copy_number(e, text + at, real_end - at, number));
        *out = TPL_FLOAT_VALUE(strtod(number, NULL));
        *out_n = real_end - at;
        return TN_OK;
    }
    if (text[at] == '0') /* "0", "00": a number that begins with 0 is 0 */
        end = digits_end(text, n, at, 1);
    TN_TRY(copy_number(e, text + at, end - at, number));
    TN_TRY(to_int(e, number, 10, false, &value));
    *out_n = end - at;
    *out = TPL_INT_VALUE(value);
    return TN_OK;
}

/* ---- int() and float() of strings ---- */

static void trim(const tpl_str *s, const char **out, size_t *out_n)
{
    const size_t skip = tpl_leading_space(s->data, s->n);
    *out = s->data + skip;
    *out_n = s->n - skip;
    *out_n -= tpl_trailing_space(*out, *out_n);
}

/* Digits of other scripts are digits for Python, and what is none yet may be one for its Unicode.
 * Any other character keeps a text from being a number. */
static tn_status check_digits(tpl_env *e, const tpl_str *s)
{
    utf8proc_int32_t c;
    for (size_t at = 0, bytes; s->n != s->n_chars && at < s->n; at += bytes) {
        c = (utf8proc_int32_t)tpl_char_at(s->data + at, &bytes);
        const utf8proc_category_t category = utf8proc_category(c);
        if (c > 127 && (category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_CN))
            return tpl_unsupported(e, "a number in digits other than 0 to 9");
    }
    return TN_OK;
}

tn_status tpl_parse_int(tpl_env *e, const tpl_str *s, int64_t base, bool *out_ok, int64_t *out)
{
    const char *text;
    size_t n;
    char number[MAX_NUMBER_CHARS + 1];
    *out_ok = false;
    TN_TRY(check_digits(e, s));
    if (base != 0 && (base < 2 || base > 36))
        return TN_OK;
    trim(s, &text, &n);
    const bool negative = n > 0 && *text == '-';
    if (n > 0 && (*text == '-' || *text == '+')) {
        text++;
        n--;
    }
    const int prefix = base_of_prefix(text, n);
    if (prefix && (base == prefix || base == 0)) {
        text += 2;
        n -= 2;
        base = prefix;
        if (n > 1 && *text == '_') {
            text++;
            n--;
        }
    } else if (base == 0) {
        base = 10;
        if (n > 1 && *text == '0' && digits_end(text, n, 0, 1) != n)
            return TN_OK;
    }
    if (n == 0 || *text == '_' || digits_end(text, n, 0, (int)base) != n)
        return TN_OK;
    TN_TRY(copy_number(e, text, n, number));
    TN_TRY(to_int(e, number, (int)base, negative, out));
    *out_ok = true;
    return TN_OK;
}

static bool is_word(const char *text, size_t n, const char *word)
{
    if (strlen(word) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((text[i] | 0x20) != word[i])
            return false;
    return true;
}

tn_status tpl_parse_float(tpl_env *e, const tpl_str *s, bool *out_ok, double *out)
{
    const char *text;
    size_t n;
    char number[MAX_NUMBER_CHARS + 1];
    *out_ok = false;
    TN_TRY(check_digits(e, s));
    trim(s, &text, &n);
    const size_t sign = n > 0 && (*text == '-' || *text == '+');
    const char *body = text + sign;
    const size_t n_body = n - sign;
    const bool named = is_word(body, n_body, "inf") || is_word(body, n_body, "infinity") ||
                       is_word(body, n_body, "nan");
    size_t end = 0;
    if (!named) {
        end = n_body > 0 && *body == '_' ? 0 : digits_end(body, n_body, 0, 10);
        if (end > 0 && end < n_body && body[end] == '.' &&
            (end + 1 == n_body || (body[end + 1] | 0x20) == 'e')) {
            /* "1." and "1.e5" are floats as well */
            const size_t behind = fraction_end(body, n_body, end + 1);
            end = behind;
        } else {
            end = fraction_end(body, n_body, end);
        }
        if (end == 0 || end != n_body || (*body | 0x20) == 'e')
            return TN_OK;
    }
    TN_TRY(copy_number(e, text, n, number));
    *out = strtod(number, NULL);
    *out_ok = true;
    return TN_OK;
}

tn_status tpl_float_to_int(tpl_env *e, double d, int64_t *out)
{
    if (!(fabs(d) < 9223372036854775808.0))
        return tpl_unsupported(e, "an integer of more than 64 bits");
    *out = (int64_t)d;
    return TN_OK;
}
