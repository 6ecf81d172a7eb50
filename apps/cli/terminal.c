/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DEFAULT_COLUMNS = 80, MAX_COLUMNS = 1000 };

bool tn_cli_is_terminal(int fd)
{
    const char *name = getenv("TERM");
    return isatty(fd) && name && *name && strcmp(name, "dumb") != 0;
}

bool tn_cli_has_colour(int fd)
{
    const char *no_colour = getenv("NO_COLOR");
    return tn_cli_is_terminal(fd) && !(no_colour && *no_colour);
}

int tn_cli_columns(int fd)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col < MAX_COLUMNS ? size.ws_col : MAX_COLUMNS;
    const long n = columns ? strtol(columns, NULL, 10) : 0;
    return n > 0 && n <= MAX_COLUMNS ? (int)n : DEFAULT_COLUMNS;
}

/* A locale of its own: the program's is "C", so that numbers are read and written the same
 * everywhere. */
bool tn_cli_is_utf8(void)
{
    locale_t user = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (user == (locale_t)0)
        return false;
    const bool utf8 = strcmp(nl_langinfo_l(CODESET, user), "UTF-8") == 0;
    freelocale(user);
    return utf8;
}

const char *tn_cli_red(int fd)
{
    return tn_cli_has_colour(fd) ? "\033[31m" : "";
}

const char *tn_cli_dim(int fd)
{
    return tn_cli_has_colour(fd) ? "\033[2m" : "";
}

const char *tn_cli_plain(int fd)
{
    return tn_cli_has_colour(fd) ? "\033[0m" : "";
}
