/* SPDX-License-Identifier: Apache-2.0 */
/* Scalars of a profile: strict readers that take the whole text or nothing, and ${VAR}. */
#include "core/base/strbuf.h"
#include "runtime/profile_internal.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAME = 64, MAX_DEVICE_INDEX = 1023 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool tn_profile_parse_u64(const char *text, uint64_t *out)
{
    uint64_t value = 0;

    if (!is_digit(*text) || (*text == '0' && text[1]))
        return false;
    for (; *text; text++) {
        if (!is_digit(*text))
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

bool tn_profile_parse_int(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    uint64_t value;

    if (!tn_profile_parse_u64(text + negative, &value) || value > INT64_MAX)
        return false;
    *out = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static const char *skip_digits(const char *text)
{
    while (is_digit(*text))
        text++;
    return text;
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][-+]?[0-9]+)? and nothing else: no hex, inf, nan, octal or
 * spaces. */
static bool is_float(const char *t)
{
    t += *t == '-';
    const char *end = skip_digits(t);
    if (end == t || (*t == '0' && end - t > 1))
        return false;
    if (*end == '.') {
        t = end + 1;
        end = skip_digits(t);
        if (end == t)
            return false;
    }
    if (*end == 'e' || *end == 'E') {
        t = end + 1;
        t += *t == '-' || *t == '+';
        end = skip_digits(t);
        if (end == t)
            return false;
    }
    return *end == '\0';
}

bool tn_profile_parse_float(const char *text, double *out)
{
    if (!is_float(text))
        return false;
    /* An application may have set a locale with a decimal comma: strtod must not see it. */
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale)
        return false;
    locale_t before = uselocale(c_locale);
    *out = strtod(text, NULL);
    uselocale(before);
    freelocale(c_locale);
    return isfinite(*out);
}

bool tn_profile_parse_size(const char *text, tn_profile_size *out)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
    char number[24];
    uint64_t value;
    size_t n = (size_t)(skip_digits(text) - text);

    *out = (tn_profile_size){ .kind = TN_PROFILE_MEMORY_AUTO };
    if (strcmp(text, "auto") == 0)
        return true;
    if (n >= sizeof(number))
        return false;
    memcpy(number, text, n);
    number[n] = '\0';
    if (!tn_profile_parse_u64(number, &value) || value == 0)
        return false;
    if (strcmp(text + n, "%") == 0 && value <= 100) {
        *out = (tn_profile_size){ .kind = TN_PROFILE_MEMORY_PERCENT, .percent = (int32_t)value };
        return true;
    }
    for (int i = 0; i < 4; i++) {
        if (strcmp(text + n, units[i]) == 0 && value <= UINT64_MAX >> (10 * (i + 1))) {
            *out = (tn_profile_size){ .kind = TN_PROFILE_MEMORY_BYTES,
                                      .bytes = value << (10 * (i + 1)) };
            return true;
        }
    }
    return false;
}

bool tn_profile_is_name(const char *text)
{
    size_t n = 0;

    for (; text[n]; n++) {
        bool word = is_letter(text[n]) || is_digit(text[n]);
        if (n >= MAX_NAME || (!word && (n == 0 || !strchr("._-", text[n]))))
            return false;
    }
    return n > 0;
}

bool tn_profile_parse_device(const char *text, char *name, size_t n_name, int32_t *index)
{
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    int64_t number = 0;

    if (n >= n_name)
        return false;
    memcpy(name, text, n);
    name[n] = '\0';
    if (!tn_profile_is_name(name))
        return false;
    if (colon && (!tn_profile_parse_int(colon + 1, &number) || number < 0))
        return false;
    if (number > MAX_DEVICE_INDEX || (colon && strcmp(name, "cpu") == 0))
        return false;
    *index = (int32_t)number;
    return true;
}

/* ---- ${VAR} ---- */

/* One ${...} at text ("${" already seen): append its value to out and set *out_end behind the
 * brace. */
static tn_status expand_one(const char *text, const tn_profile_mark *at, tn_strbuf *out,
                            const char **out_end, tn_error *err)
{
    char name[MAX_NAME + 1];
    size_t n = 0;

    while (is_letter(text[n]) || text[n] == '_' || (n > 0 && is_digit(text[n])))
        n++;
    const char *rest = text + n;
    const char *end = strchr(rest, '}');
    bool has_default = strncmp(rest, ":-", 2) == 0;
    if (!end || n == 0 || n > MAX_NAME || (!has_default && rest != end))
        return tn_profile_fail(err, at,
                               "a reference to the environment is ${NAME} or ${NAME:-text}; "
                               "write $${ for a plain ${");
    memcpy(name, text, n);
    name[n] = '\0';
    const char *value = getenv(name);
    if (has_default && (!value || !*value))
        tn_strbuf_append(out, rest + 2, (size_t)(end - rest - 2));
    else if (value)
        tn_strbuf_puts(out, value);
    else
        return tn_profile_fail(err, at,
                               "the environment variable %s is not set; set it, or write "
                               "${%s:-text} to give a value for that case",
                               name, name);
    *out_end = end + 1;
    return TN_OK;
}

static tn_status expand_all(const char *text, const tn_profile_mark *at, tn_strbuf *out,
                            tn_error *err)
{
    while (*text) {
        if (strncmp(text, "$${", 3) == 0) {
            tn_strbuf_puts(out, "${");
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            TN_TRY(expand_one(text + 2, at, out, &text, err));
        } else {
            size_t n = 1 + strcspn(text + 1, "$");
            tn_strbuf_append(out, text, n);
            text += n;
        }
        if (out->len > TN_PROFILE_MAX_BYTES)
            return tn_profile_fail(err, at, "the value is larger than 1 MiB after ${...}");
    }
    return out->failed ? tn_fail_memory(err, "a profile value") : TN_OK;
}

tn_status tn_profile_expand(tn_arena *arena, const char *text, const tn_profile_mark *at,
                            const char **out, tn_error *err)
{
    tn_strbuf b = TN_STRBUF(SIZE_MAX / 2); /* expand_all keeps the limit, and says so */

    *out = text;
    if (!strstr(text, "${"))
        return TN_OK;
    tn_status st = expand_all(text, at, &b, err);
    if (!st && tn_profile_check_text(tn_strbuf_text(&b), b.len, *at, NULL))
        st = tn_profile_fail(err, at, "the value is not plain UTF-8 text after ${...}");
    if (!st) {
        *out = tn_arena_strdup(arena, tn_strbuf_text(&b));
        if (!*out)
            st = tn_fail_memory(err, "a profile value");
    }
    tn_strbuf_deinit(&b);
    return st;
}
