/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/hf/regex.h"

#include "model/text/pattern.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A repeat that must be made reads this much, or a backreference as much as it likes, within one
 * step (pattern.c). */
enum { MAX_REGEX_BYTES = 64 << 10, MAX_GROUPS = 200, MAX_NEEDED_REPEATS = 16 };

/* Oniguruma's doc/RE. What \w is was read off Oniguruma 6.9 over all code points: outside a class
 * it has six more characters of Latin-1. */
#define WORD   "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define LATIN1 "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"
#define NO_WS                                                                                      \
    "\\x{0}-\\x{8}\\x{E}-\\x{1F}!-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}"      \
    "\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}"                 \
    "\\x{3001}-\\x{10FFFF}"

typedef struct translation {
    const char *text;
    size_t n, at; /* the next byte to read */
    tn_strbuf *out;
    size_t atom; /* where the last atom begins in *out: a quantifier belongs to it */
    size_t group[MAX_GROUPS];
    int32_t n_groups;
} translation;

static tn_status unsupported(size_t at, const char *what, tn_error *err)
{
    return tn_fail(err, TN_UNSUPPORTED, "regular expression, byte %zu: %s", at, what);
}

static int peek(const translation *t, size_t ahead)
{
    return t->at + ahead < t->n ? (unsigned char)t->text[t->at + ahead] : -1;
}

static void copy(translation *t, size_t n)
{
    tn_strbuf_append(t->out, t->text + t->at, n);
    t->at += n;
}

/* ---- escapes ---- */

/* What one escape stands for outside of [ and ], and inside. */
typedef struct class_escape {
    char letter;
    const char *outside, *inside; /* inside NULL: has no counterpart */
} class_escape;

static const class_escape class_escapes[] = {
    { 's', "[" TN_PATTERN_WS "]", TN_PATTERN_WS },
    { 'S', "[^" TN_PATTERN_WS "]", NO_WS },
    { 'w', "[" WORD LATIN1 "]", WORD },
    { 'W', "[^" WORD LATIN1 "]", NULL },
    { 'd', "\\p{Nd}", "\\p{Nd}" },
    { 'D', "\\P{Nd}", "\\P{Nd}" },
    { 'h', "[0-9a-fA-F]", "0-9a-fA-F" },
    { 'H', "[^0-9a-fA-F]", NULL },
    { 'v', "\\x0B", "\\x0B" },
    { 'b', "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))", "\\x08" },
    { 'B', "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))", NULL },
};

/* Names of properties that PCRE2 does not have, or has with another meaning. */
static const struct {
    const char *name, *pcre2;
} properties[] = {
    { "letter", "L" },
    { "mark", "M" },
    { "number", "N" },
    { "punctuation", "P" },
    { "symbol", "S" },
    { "separator", "Z" },
    { "other", "C" },
    { "uppercaseletter", "Lu" },
    { "lowercaseletter", "Ll" },
    { "titlecaseletter", "Lt" },
    { "modifierletter", "Lm" },
    { "otherletter", "Lo" },
    { "nonspacingmark", "Mn" },
    { "decimalnumber", "Nd" },
    { "letternumber", "Nl" },
    { "othernumber", "No" },
    { "spaceseparator", "Zs" },
    { "mathsymbol", "Sm" },
    { "currencysymbol", "Sc" },
    { "control", "Cc" },
    { "alpha", "Alphabetic" },
    { "alphabetic", "Alphabetic" },
    { "digit", "Nd" },
    { "punct", "P" },
    { "upper", "Uppercase" },
    { "lower", "Lowercase" },
    { "any", "Any" },
    { "space", "White_Space" },
    { "cntrl", "Cc" },
    { "emoji", "Emoji" },
};

static const char *property_name(const char *key)
{
    static const char *const categories[] = { "l",  "lu", "ll", "lt", "lm", "lo", "m",  "mn",
                                              "mc", "me", "n",  "nd", "nl", "no", "p",  "pc",
                                              "pd", "ps", "pe", "pi", "pf", "po", "s",  "sm",
                                              "sc", "sk", "so", "z",  "zs", "zl", "zp", "c",
                                              "cc", "cf", "cs", "co", "cn" };
    for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
        if (strcmp(properties[i].name, key) == 0)
            return properties[i].pcre2;
    }
    for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++) {
        if (strcmp(categories[i], key) == 0)
            return key;
    }
    return NULL;
}

/* \p{Name}, \P{Name}, \p{^Name}; case, blanks, '-' and '_' do not count. What is no category is a
 * script: PCRE2 would take Script_Extensions without "sc:". */
static tn_status put_property(translation *t, tn_error *err)
{
    char key[48], name[64];
    size_t begin = t->at, n = 0;
    bool negative = peek(t, 1) == 'P';
    if (peek(t, 2) != '{')
        return unsupported(begin, "\\p without a name in braces", err);
    t->at += 3;
    if (peek(t, 0) == '^') {
        negative = !negative;
        t->at++;
    }
    for (; peek(t, 0) >= 0 && peek(t, 0) != '}' && n + 1 < sizeof(key); t->at++) {
        if (isalnum(peek(t, 0)))
            key[n++] = (char)tolower(peek(t, 0));
    }
    key[n] = '\0';
    if (peek(t, 0) != '}' || n == 0)
        return unsupported(begin, "\\p without a property's name", err);
    t->at++;
    const char *known = property_name(key);
    if (known && strlen(known) <= 2) {
        name[0] = (char)toupper((unsigned char)known[0]);
        name[1] = known[1];
        name[2] = '\0';
        known = name;
    }
    tn_strbuf_printf(t->out, "\\%c{%s%s}", negative ? 'P' : 'p',
                     known ? "" : "sc:", known ? known : key);
    return TN_OK;
}

static tn_status put_hex(translation *t, tn_error *err)
{
    char digits[5] = "";
    for (size_t i = 0; i < 4; i++) {
        int c = peek(t, 2 + i);
        if (c < 0 || !isxdigit(c))
            return unsupported(t->at, "\\u without four hexadecimal digits", err);
        digits[i] = (char)c;
    }
    tn_strbuf_printf(t->out, "\\x{%s}", digits);
    t->at += 6;
    return TN_OK;
}

/* An escape, inside a class or outside. */
static tn_status put_escape(translation *t, bool inside, tn_error *err)
{
    int c = peek(t, 1);
    if (c < 0)
        return unsupported(t->at, "a backslash at the end", err);
    for (size_t i = 0; i < sizeof(class_escapes) / sizeof(class_escapes[0]); i++) {
        const char *text = inside ? class_escapes[i].inside : class_escapes[i].outside;
        if (class_escapes[i].letter != c)
            continue;
        if (!text)
            return unsupported(t->at, "\\W, \\H or \\B between [ and ]", err);
        tn_strbuf_puts(t->out, text);
        t->at += 2;
        return TN_OK;
    }
    if (c == 'p' || c == 'P')
        return put_property(t, err);
    if (c == 'u')
        return put_hex(t, err);
    bool known = c >= 0x80 || !isalnum(c) || strchr("tnrfaex", c) || (c == '0') ||
                 (!inside && strchr("AzZGKRX", c));
    if (!inside && c >= '1' && c <= '9')
        return unsupported(t->at, "a backreference", err);
    if (!known)
        return unsupported(t->at, "this escape", err);
    copy(t, 2);
    return TN_OK;
}

/* ---- classes, groups, quantifiers ---- */

static tn_status put_posix(translation *t, tn_error *err)
{
    static const char *const names[] = { "alpha", "digit", "upper", "lower", "punct", "space" };
    static const char *const bodies[] = { "\\p{Alphabetic}", "\\p{Nd}",      "\\p{Uppercase}",
                                          "\\p{Lowercase}",  "\\p{P}\\p{S}", TN_PATTERN_WS };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t n = strlen(names[i]);
        if (t->n - t->at > n + 3 && memcmp(t->text + t->at + 2, names[i], n) == 0 &&
            memcmp(t->text + t->at + 2 + n, ":]", 2) == 0) {
            tn_strbuf_puts(t->out, bodies[i]);
            t->at += n + 4;
            return TN_OK;
        }
    }
    return unsupported(t->at, "this [: :] class", err);
}

static tn_status put_class(translation *t, tn_error *err)
{
    size_t begin = t->at;
    copy(t, peek(t, 1) == '^' ? 2 : 1);
    if (peek(t, 0) == ']') {
        tn_strbuf_puts(t->out, "\\]");
        t->at++;
    }
    while (peek(t, 0) >= 0 && peek(t, 0) != ']') {
        if (peek(t, 0) == '[' && peek(t, 1) == ':')
            TN_TRY(put_posix(t, err));
        else if (peek(t, 0) == '[' || (peek(t, 0) == '&' && peek(t, 1) == '&'))
            return unsupported(t->at, "a class inside a class", err);
        else if (peek(t, 0) == '\\')
            TN_TRY(put_escape(t, true, err));
        else
            copy(t, 1);
    }
    if (peek(t, 0) < 0)
        return unsupported(begin, "[ without ]", err);
    copy(t, 1);
    return TN_OK;
}

/* (?im-x) and (?im-x: : Oniguruma's m is PCRE2's s. */
static tn_status put_options(translation *t, tn_error *err)
{
    copy(t, 2);
    for (; peek(t, 0) >= 0 && peek(t, 0) != ':' && peek(t, 0) != ')'; t->at++) {
        int c = peek(t, 0);
        if (!strchr("imx-", c))
            return unsupported(t->at, "this option of a group", err);
        char option = c == 'm' ? 's' : (char)c;
        tn_strbuf_append(t->out, &option, 1);
    }
    if (peek(t, 0) == ':')
        copy(t, 1);
    return TN_OK;
}

static tn_status put_group(translation *t, tn_error *err)
{
    if (t->n_groups == MAX_GROUPS)
        return unsupported(t->at, "groups are nested too deep", err);
    t->group[t->n_groups++] = t->out->len;
    if (peek(t, 1) == '*')
        return unsupported(t->at, "(*", err);
    if (peek(t, 1) != '?') {
        copy(t, 1);
        return TN_OK;
    }
    int c = peek(t, 2);
    if (c >= 0 && strchr("imx-", c))
        return put_options(t, err);
    if (c < 0 || !strchr(":=!><#", c))
        return unsupported(t->at, "this kind of group", err);
    copy(t, 3);
    if (c == '#') {
        while (peek(t, 0) >= 0 && peek(t, 0) != ')')
            copy(t, 1);
    }
    return TN_OK;
}

/* Bytes of {n}, {n,}, {,m} or {n,m} at the next byte; 0 when it is none of them. */
static size_t interval_bytes(const translation *t)
{
    size_t n = 1, n_digits = 0, n_commas = 0;
    for (; isdigit(peek(t, n)) || peek(t, n) == ','; n++) {
        n_commas += peek(t, n) == ',';
        n_digits += peek(t, n) != ',';
    }
    return peek(t, n) == '}' && n_commas <= 1 && n_digits > 0 ? n + 1 : 0;
}

static void wrap_atom(translation *t)
{
    size_t n = t->out->len - t->atom;
    tn_strbuf_puts(t->out, "(?:)");
    if (t->out->failed)
        return;
    char *atom = t->out->data + t->atom;
    memmove(atom + 3, atom, n);
    memcpy(atom, "(?:", 3);
    atom[n + 3] = ')';
}

/* After {n,m} a '+' repeats the whole again where PCRE2 would be possessive, and {n}? is optional
 * where PCRE2 would be lazy. */
static tn_status put_interval(translation *t, size_t n, tn_error *err)
{
    if (strtoul(t->text + t->at + 1, NULL, 10) > MAX_NEEDED_REPEATS)
        return unsupported(t->at, "a repeat that must be made more than 16 times", err);
    bool fixed = !memchr(t->text + t->at, ',', n);
    if (peek(t, 1) == ',') {
        tn_strbuf_puts(t->out, "{0");
        t->at++;
        n--;
    }
    copy(t, n);
    if (peek(t, 0) == '+' || (peek(t, 0) == '?' && fixed))
        wrap_atom(t);
    return TN_OK;
}

static tn_status put_next(translation *t, tn_error *err)
{
    size_t begin = t->out->len, interval;
    switch (peek(t, 0)) {
    case '\\':
        t->atom = begin;
        return put_escape(t, false, err);
    case '[':
        t->atom = begin;
        return put_class(t, err);
    case '(':
        return put_group(t, err);
    case ')':
        if (t->n_groups == 0)
            return unsupported(t->at, ") without (", err);
        t->atom = t->group[--t->n_groups];
        copy(t, 1);
        return TN_OK;
    case '{':
        interval = interval_bytes(t);
        if (interval == 0)
            tn_strbuf_puts(t->out, "\\");
        if (interval == 0)
            break;
        return put_interval(t, interval, err);
    case '*':
    case '+':
    case '?':
        copy(t, 1);
        return TN_OK;
    default:
        break;
    }
    t->atom = begin;
    do
        copy(t, 1); /* a whole character */
    while (peek(t, 0) >= 0x80 && peek(t, 0) < 0xC0);
    return TN_OK;
}

tn_status tn_hf_regex_translate(const char *text, size_t n, tn_strbuf *out, tn_error *err)
{
    translation t = { .text = text, .n = n, .out = out };
    if (n > MAX_REGEX_BYTES)
        return tn_fail(err, TN_UNSUPPORTED, "regular expression of %zu bytes, at most %d are read",
                       n, MAX_REGEX_BYTES);
    while (t.at < n)
        TN_TRY(put_next(&t, err));
    if (t.n_groups > 0)
        return unsupported(n, "( without )", err);
    return out->failed ? tn_fail_memory(err, "a regular expression") : TN_OK;
}
