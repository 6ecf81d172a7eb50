/* SPDX-License-Identifier: Apache-2.0 */
/* Where the installed plugins are: found from the file that holds this code, the program or
 * libtenon.so, so that an installation may be moved. */
#include "runtime/setup.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A line of /proc/self/maps: addresses, rights, offset, device, inode, and the path, in which a
 * newline would be escaped. */
enum { MAX_LINE = PATH_MAX + 128 };

static void own_address(void) {}

/* The path of the mapping that holds the address; false for a line that does not. */
static bool path_of(const char *line, uintptr_t address, char path[PATH_MAX])
{
    uintptr_t from, to;
    int at = 0;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", &from, &to, &at) != 2 || !at ||
        address < from || address >= to || line[at] != '/')
        return false;
    const size_t n = strcspn(line + at, "\n");
    if (n >= PATH_MAX)
        return false;
    memcpy(path, line + at, n);
    path[n] = 0;
    return true;
}

/* The file that this code was loaded from. (dladdr is no POSIX.1-2008, and knows a program by
 * argv[0] only.) */
static bool own_file(char path[PATH_MAX])
{
    char line[MAX_LINE];
    void (*const function)(void) = own_address;
    uintptr_t address;
    bool found = false;
    memcpy(&address, &function, sizeof address);
    FILE *maps = fopen("/proc/self/maps", "r");
    if (!maps)
        return false;
    while (!found && fgets(line, sizeof line, maps))
        found = path_of(line, address, path);
    fclose(maps);
    return found;
}

/* Cut the last name off; false when there is none. */
static bool cut_name(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = 0;
    return slash != NULL;
}

/* Seen from bin/tenon and lib/libtenon.so, and from lib/TRIPLET/libtenon.so. */
tn_status tn_default_plugin_dir(char **out_dir, tn_error *err)
{
    char path[PATH_MAX];
    struct stat s;
    *out_dir = NULL;
    if (!own_file(path) || !cut_name(path) || !cut_name(path))
        return tn_fail(err, TN_INVALID, "cannot find the program's own path; give --plugin-dir");
    tn_strbuf dir = TN_STRBUF(2 * PATH_MAX);
    tn_strbuf_printf(&dir, "%s/tenon/plugins", path);
    if (stat(tn_strbuf_text(&dir), &s) != 0) {
        tn_strbuf_deinit(&dir);
        dir = TN_STRBUF(2 * PATH_MAX);
        tn_strbuf_printf(&dir, "%s/lib/tenon/plugins", path);
    }
    *out_dir = tn_strbuf_take(&dir);
    return *out_dir ? TN_OK : tn_fail_memory(err, "the plugin directory");
}
