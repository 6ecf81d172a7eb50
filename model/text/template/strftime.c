/* SPDX-License-Identifier: Apache-2.0 */
#include "model/text/template/strftime.h"

#include "model/text/template/unicode.h"

#include <inttypes.h>
#include <string.h>

typedef struct moment {
    int64_t seconds, year;
    int month, day, hour, minute, second;
    int weekday; /* Sunday is 0 */
    int yearday; /* January 1 is 0 */
} moment;

static const char *const days[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                    "Thursday", "Friday", "Saturday" };
static const char *const months[] = { "January",   "February", "March",    "April",
                                      "May",       "June",     "July",     "August",
                                      "September", "October",  "November", "December" };

/* Both ways as in Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in
 * March, eras have 400 years. */
int64_t tpl_days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static moment moment_of(int64_t now)
{
    moment m = { .seconds = now };
    int64_t day = now / 86400, rest = now % 86400;
    if (rest < 0) {
        rest += 86400;
        day--;
    }
    const int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097,
                  of_era = z - era * 146097;
    const int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * year + year / 4 - year / 100),
                  month = (5 * of_year + 2) / 153;
    m.day = (int)(of_year - (153 * month + 2) / 5 + 1);
    m.month = (int)(month < 10 ? month + 3 : month - 9);
    m.year = year + era * 400 + (m.month <= 2);
    m.hour = (int)(rest / 3600);
    m.minute = (int)(rest / 60 % 60);
    m.second = (int)(rest % 60);
    m.weekday = (int)((day % 7 + 11) % 7); /* 1970-01-01 was a Thursday */
    m.yearday = (int)(day - tpl_days_of(m.year, 1, 1));
    return m;
}

/* ISO 8601: week 1 has the year's first Thursday. */
static void iso_week(const moment *m, int64_t *year, int *week)
{
    const int64_t day = tpl_days_of(m->year, 1, 1) + m->yearday;
    const int64_t thursday = day - (m->weekday + 6) % 7 + 3;
    *year = moment_of(thursday * 86400).year;
    *week = (int)((thursday - tpl_days_of(*year, 1, 1)) / 7) + 1;
}

/* width digits, filled up with `pad`; '-' fills up nothing. */
static void put_number(int64_t n, int width, char pad, tn_strbuf *out)
{
    if (pad == '-')
        tn_strbuf_printf(out, "%" PRId64, n);
    else
        tn_strbuf_printf(out, pad == '_' ? "%*" PRId64 : "%0*" PRId64, width, n);
}

static const char *composite(char c)
{
    switch (c) {
    case 'c':
        return "%a %b %e %H:%M:%S %Y";
    case 'D':
    case 'x':
        return "%m/%d/%y";
    case 'F':
        return "%Y-%m-%d";
    case 'T':
    case 'X':
        return "%H:%M:%S";
    case 'R':
        return "%H:%M";
    case 'r':
        return "%I:%M:%S %p";
    default:
        return NULL;
    }
}

static bool put_text(const moment *m, char c, tn_strbuf *out)
{
    switch (c) {
    case 'A':
    case 'a':
        tn_strbuf_append(out, days[m->weekday], c == 'a' ? 3 : strlen(days[m->weekday]));
        return true;
    case 'B':
    case 'b':
    case 'h':
        tn_strbuf_append(out, months[m->month - 1], c == 'B' ? strlen(months[m->month - 1]) : 3);
        return true;
    case 'p':
        tn_strbuf_puts(out, m->hour < 12 ? "AM" : "PM");
        return true;
    case 'n':
    case 't':
    case '%':
        tn_strbuf_puts(out, c == 'n' ? "\n" : c == 't' ? "\t" : "%");
        return true;
    default:
        return c == 'z' || c == 'Z'; /* nothing: the datetime has no time zone */
    }
}

static bool put_field(const moment *m, char c, char pad, tn_strbuf *out)
{
    static const char numbers[] = "dmHMSyjIuwUWVGYCef";
    int64_t iso_year;
    int week;
    if (!strchr(numbers, c))
        return pad == 0 && put_text(m, c, out);
    iso_week(m, &iso_year, &week);
    const int hour = m->hour % 12 ? m->hour % 12 : 12;
    const int64_t values[] = { m->day,
                               m->month,
                               m->hour,
                               m->minute,
                               m->second,
                               m->year % 100,
                               m->yearday + 1,
                               hour,
                               m->weekday ? m->weekday : 7,
                               m->weekday,
                               (m->yearday + 7 - m->weekday) / 7,
                               (m->yearday + 7 - (m->weekday + 6) % 7) / 7,
                               week,
                               iso_year,
                               m->year,
                               m->year / 100,
                               m->day,
                               0 };
    static const uint8_t widths[] = { 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 2, 2, 2, 4, 4, 2, 2, 6 };
    const size_t at = (size_t)(strchr(numbers, c) - numbers);
    if (c == 'f' && pad)
        return false;
    put_number(values[at], widths[at], pad ? pad : (char)(c == 'e' ? '_' : '0'), out);
    return true;
}

static tn_status put_directive(tpl_env *e, const tpl_str *format, size_t *at, const moment *m,
                               tn_strbuf *out)
{
    char pad = 0;
    if (*at < format->n &&
        (format->data[*at] == '-' || format->data[*at] == '_' || format->data[*at] == '0'))
        pad = format->data[(*at)++];
    if (*at >= format->n)
        return tpl_unsupported(e, "strftime_now: a %% at the end of the format");
    const char c = format->data[(*at)++];
    const char *parts = composite(c);
    if (parts && pad == 0) {
        for (; *parts; parts++) {
            if (*parts == '%')
                (void)put_field(m, *++parts, 0, out);
            else
                tn_strbuf_append(out, parts, 1);
        }
        return TN_OK;
    }
    if (c && (unsigned char)c < 0x80 && put_field(m, c, pad, out))
        return TN_OK;
    return tpl_unsupported(e, "strftime_now: the directive %%%.1s%c", pad ? &pad : "",
                           (unsigned char)c < 0x80 && c ? c : '?');
}

tn_status tpl_strftime(tpl_env *e, const tpl_str *format, int64_t now, tpl_value *out)
{
    const moment m = moment_of(now);
    tn_strbuf text = tpl_buffer(e);
    tn_status status = TN_OK;
    if (m.year < 1000 || m.year > 9999)
        return tpl_unsupported(e, "strftime_now: a year that has not four digits");
    for (size_t at = 0; at < format->n && !status;) {
        const char c = format->data[at++];
        if (c == '%')
            status = put_directive(e, format, &at, &m, &text);
        else
            tn_strbuf_append(&text, &c, 1);
    }
    if (!status)
        return tpl_str_take(e, &text, out);
    tn_strbuf_deinit(&text);
    return status;
}
